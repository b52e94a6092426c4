;; template render: a hundred segments, each the same megabyte.
(drop (memory.grow (i32.const 20)))
(local.set $at (i32.const 4096))
(loop $next
  (i32.store (local.get $at) (i32.const 1))
  (i32.store offset=4 (local.get $at) (i32.const 65536))
  (i32.store offset=8 (local.get $at) (i32.const 0x100000))
  (local.set $at (i32.add (local.get $at) (i32.const 12)))
  (local.set $count (i32.add (local.get $count) (i32.const 1)))
  (br_if $next (i32.lt_u (local.get $count) (i32.const 100))))
(i32.store (i32.const 2048) (i32.const 0))
(i32.store (i32.const 2052) (i32.const 4096))
(i32.store (i32.const 2056) (i32.const 100))
(return (i32.const 2048))
