;; policy step: 2^31 forced tokens, it says.
(i32.store (i32.const 3072) (i32.const 0))
(i32.store (i32.const 3076) (i32.const 1))
(i32.store (i32.const 3080) (i32.const 1024))
(i32.store (i32.const 3084) (i32.const 0x80000000))
(call $drop (local.get $logits))
(return (i32.const 3072))
