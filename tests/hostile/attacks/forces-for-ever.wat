;; policy step: the token 65, whatever the model says and however long it is.
(i32.store (i32.const 3072) (i32.const 0))
(i32.store (i32.const 3076) (i32.const 1))
(i32.store (i32.const 3080) (i32.const 3088))
(i32.store (i32.const 3084) (i32.const 1))
(i32.store (i32.const 3088) (i32.const 65))
(call $drop (local.get $logits))
(return (i32.const 3072))
