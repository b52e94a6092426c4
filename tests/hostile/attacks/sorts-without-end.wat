;; policy step: top-p over and over, until the host refuses.
(loop $more
  (call $top-p (local.get $logits) (f32.const 0.9) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
