;; A secret all over an instance: in four memories, as many as one may have, in a table and in a global. `secret` hides
;; it (`h`), looks for one that another instance hid (`l`), or hides it and looks (`b`), and traps where it finds one.
  (memory $second 0) (memory $third 0) (memory $fourth 0)
  (table $hidden 0 funcref)
  (global $kept (mut i64) (i64.const 0))
  (elem declare func $recurse)

  (func $secret (param $what i32)
    ;; The first memory has its own data, and what the host passes, in the first 128 KiB.
    (drop (memory.grow 0 (i32.const 24)))
    (drop (memory.grow $second (i32.const 28)))
    (drop (memory.grow $third (i32.const 28)))
    (drop (memory.grow $fourth (i32.const 28)))
    (drop (table.grow $hidden (ref.null func) (i32.const 1000)))
    (if (i32.ne (local.get $what) (i32.const 108)) (then (call $hide)))
    (if (i32.ne (local.get $what) (i32.const 104)) (then (call $look))))

  (func $hide
    (memory.fill 0 (i32.const 0x20000) (i32.const 0x5e) (i32.const 0x180000))
    (memory.fill $second (i32.const 0) (i32.const 0x5e) (i32.const 0x1c0000))
    (memory.fill $third (i32.const 0) (i32.const 0x5e) (i32.const 0x1c0000))
    (memory.fill $fourth (i32.const 0) (i32.const 0x5e) (i32.const 0x1c0000))
    (table.fill $hidden (i32.const 0) (ref.func $recurse) (i32.const 1000))
    (global.set $kept (i64.const 0x5e)))

  (func $look
    (local $at i32)
    (if (i64.ne (global.get $kept) (i64.const 0)) (then (unreachable)))
    (loop $elements
      (if (i32.eqz (ref.is_null (table.get $hidden (local.get $at)))) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $elements (i32.lt_u (local.get $at) (i32.const 1000))))
    (local.set $at (i32.const 0))
    (loop $words
      (if (i64.ne (i64.load $second (local.get $at)) (i64.const 0)) (then (unreachable)))
      (if (i64.ne (i64.load $third (local.get $at)) (i64.const 0)) (then (unreachable)))
      (if (i64.ne (i64.load $fourth (local.get $at)) (i64.const 0)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $words (i32.lt_u (local.get $at) (i32.const 0x1c0000))))
    (local.set $at (i32.const 0x20000))
    (loop $words
      (if (i64.ne (i64.load 0 (local.get $at)) (i64.const 0)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $words (i32.lt_u (local.get $at) (i32.const 0x1a0000)))))
