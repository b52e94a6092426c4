;; template stops: half a million strings.
(drop (memory.grow (i32.const 80)))
(local.set $at (i32.const 65536))
(loop $next
  (i32.store (local.get $at) (i32.const 1100))
  (i32.store offset=4 (local.get $at) (i32.const 2))
  (local.set $at (i32.add (local.get $at) (i32.const 8)))
  (br_if $next (i32.lt_u (local.get $at) (i32.const 4065536))))
(i32.store (i32.const 2048) (i32.const 65536))
(i32.store (i32.const 2052) (i32.const 500000))
(return (i32.const 2048))
