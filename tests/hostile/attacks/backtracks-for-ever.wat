;; policy step: a token forced, dropped, forced, dropped. It is to be made with a backtrack of 1.
(i32.store (i32.const 3072) (i32.const 0))
(call $drop (local.get $logits))
(if (global.get $hoarded)
  (then
    (global.set $hoarded (i32.const 0))
    (i32.store (i32.const 3076) (i32.const 2))
    (i32.store (i32.const 3080) (i32.const 1))
    (i64.store (i32.const 3084) (i64.const 0)))
  (else
    (global.set $hoarded (i32.const 1))
    (i32.store (i32.const 3076) (i32.const 1))
    (i32.store (i32.const 3080) (i32.const 3092))
    (i32.store (i32.const 3084) (i32.const 1))
    (i32.store (i32.const 3092) (i32.const 65))))
(return (i32.const 3072))
