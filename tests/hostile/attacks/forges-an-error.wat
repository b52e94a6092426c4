;; policy step: an error whose sentence moves the cursor and begins a line of its own.
(i64.store (i32.const 1100) (i64.const 0x0a4a325b1b0d6968))
(i64.store (i32.const 1108) (i64.const 0x216b6f2074736f68))
(i64.store (i32.const 3072) (i64.const 1))
(i32.store (i32.const 3080) (i32.const 1100))
(i32.store (i32.const 3084) (i32.const 16))
(call $drop (local.get $logits))
(return (i32.const 3072))
