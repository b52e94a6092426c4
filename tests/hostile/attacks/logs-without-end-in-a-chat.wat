;; chat next-batch: a megabyte at a time, as fast as it can.
(drop (memory.grow (i32.const 20)))
(loop $more
  (call $log (i32.const 4) (i32.const 65536) (i32.const 0x100000))
  (br $more))
