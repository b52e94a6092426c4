;; policy step: the scores constrained by the grammar `a*`, over and over, until the host refuses.
(loop $more
  (call $constrain (local.get $logits) (global.get $hoarded) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
;; [open]
(i32.store16 (i32.const 2112) (i32.const 0x2a61))
(call $from-regex (i32.const 2112) (i32.const 2) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
(global.set $hoarded (i32.load (i32.const 2052)))
