;; policy step: forbids as many tokens as there are, over and over, until the host refuses.
(loop $more
  (call $forbid (local.get $logits) (i32.const 4096) (i32.const 260) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
