;; chat send: messages whose role has a megabyte, until the host refuses.
(drop (memory.grow (i32.const 20)))
(loop $more
  (call $append (i32.const 65536) (i32.const 0x100000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 2048))
  (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
(return (i32.const 2048))
