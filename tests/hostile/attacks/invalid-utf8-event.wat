;; chat next-batch: content that is no UTF-8.
(i32.store (i32.const 1100) (i32.const 0xfffefdfc))
(i32.store (i32.const 1216) (i32.const 0))
(i32.store (i32.const 1220) (i32.const 1100))
(i32.store (i32.const 1224) (i32.const 4))
(return (i32.const 1200))
