;; policy step: the bytes of 256 tokens, over and over, until the host refuses.
(loop $more
  (global.set $top (i32.const 65536))
  (call $token-bytes (i32.const 4096) (i32.const 256) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
