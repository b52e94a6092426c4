;; policy save: 2^31 bytes of state, it says.
(i32.store (i32.const 2048) (i32.const 1))
(i32.store (i32.const 2052) (i32.const 1024))
(i32.store (i32.const 2056) (i32.const 0x80000000))
(return (i32.const 2048))
