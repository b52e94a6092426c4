;; policy step: a line that clears the screen and pretends to be two.
(i64.store (i32.const 2048) (i64.const 0x0a4a325b1b0d6968))
(i64.store (i32.const 2056) (i64.const 0x216b6f2074736f68))
(call $log (i32.const 2) (i32.const 2048) (i32.const 16))
