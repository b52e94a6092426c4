;; chat send: a conversation of five parts, each the same megabyte.
(drop (memory.grow (i32.const 20)))
(local.set $context (i32.const 4096))
(loop $next
  (i32.store offset=4 (local.get $context) (i32.const 65536))
  (i32.store offset=8 (local.get $context) (i32.const 0x100000))
  (local.set $context (i32.add (local.get $context) (i32.const 12)))
  (br_if $next (i32.lt_u (local.get $context) (i32.const 4156))))
;; A message's content.
(i32.store (i32.const 2120) (i32.const 4096))
(i32.store (i32.const 2124) (i32.const 5))
(call $render (i32.const 2112) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
  (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
