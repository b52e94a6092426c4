;; chat send: a tool, with three megabytes of arguments.
(drop (memory.grow (i32.const 60)))
(call $call-tool (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0x300000) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
