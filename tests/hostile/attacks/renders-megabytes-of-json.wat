;; chat send: a conversation with five tools, the parameters of each half a megabyte of `[ 0,0,...,0]`.
(drop (memory.grow (i32.const 20)))
(local.set $context (i32.const 65536))
(loop $next
  (i32.store (local.get $context) (i32.const 0x2c302c30))
  (local.set $context (i32.add (local.get $context) (i32.const 4)))
  (br_if $next (i32.lt_u (local.get $context) (i32.const 589820))))
(i32.store (i32.const 65536) (i32.const 0x2c30205b))
(i32.store (i32.const 589820) (i32.const 0x5d302c30))
(local.set $context (i32.const 4096))
(loop $next
  (i32.store offset=16 (local.get $context) (i32.const 65536))
  (i32.store offset=20 (local.get $context) (i32.const 0x80000))
  (local.set $context (i32.add (local.get $context) (i32.const 24)))
  (br_if $next (i32.lt_u (local.get $context) (i32.const 4216))))
(call $render (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0)
  (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
