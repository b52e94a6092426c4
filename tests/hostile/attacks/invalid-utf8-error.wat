;; policy step: an error whose sentence is no UTF-8.
(i32.store (i32.const 1100) (i32.const 0xfffefdfc))
(i64.store (i32.const 3072) (i64.const 1))
(i32.store (i32.const 3080) (i32.const 1100))
(i32.store (i32.const 3084) (i32.const 4))
(call $drop (local.get $logits))
(return (i32.const 3072))
