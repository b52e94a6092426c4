;; chat open: an answer, before there is a turn.
(call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
(call $generate (i32.load (i32.const 2052)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
  (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
