;; policy step: the entropy over and over, until the host refuses.
(loop $more
  (call $entropy (local.get $logits) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
