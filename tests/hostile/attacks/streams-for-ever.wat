;; chat next-batch: content, for ever.
(i32.store (i32.const 1100) (i32.const 0x206f6820))
(i32.store (i32.const 1216) (i32.const 0))
(i32.store (i32.const 1220) (i32.const 1100))
(i32.store (i32.const 1224) (i32.const 4))
(return (i32.const 1200))
