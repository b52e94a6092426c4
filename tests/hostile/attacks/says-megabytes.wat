;; chat next-batch: content of a megabyte, for ever.
(if (i32.lt_u (memory.size) (i32.const 18)) (then (drop (memory.grow (i32.const 16)))))
(i32.store (i32.const 1216) (i32.const 0))
(i32.store (i32.const 1220) (i32.const 131072))
(i32.store (i32.const 1224) (i32.const 0x100000))
(return (i32.const 1200))
