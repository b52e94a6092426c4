;; chat next-batch: 2^31 events, it says.
(i32.store (i32.const 2048) (i32.const 0))
(i32.store (i32.const 2052) (i32.const 1216))
(i32.store (i32.const 2056) (i32.const 0x80000000))
(return (i32.const 2048))
