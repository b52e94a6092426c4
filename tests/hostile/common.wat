  ;; What every guest here begins with. The tests fill in WHERE, the number of the export that misbehaves (0 is the
  ;; start of the instance), and WHAT it does then.
  (memory (export "memory") 2)
  (global $where i32 (i32.const WHERE))
  (global $what i32 (i32.const WHAT))
  ;; Memory is handed out from here on and never taken back, but by what sets this again.
  (global $top (mut i32) (i32.const 65536))

  (func $misbehave (param $here i32)
    (if (i32.ne (local.get $here) (global.get $where)) (then (return)))
    ;; 1: computes for ever.
    (if (i32.eq (global.get $what) (i32.const 1)) (then (loop $ever (br $ever))))
    ;; 2: takes memory until there is none, then traps as an allocator does.
    (if (i32.eq (global.get $what) (i32.const 2)) (then
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (unreachable)))
    ;; 3: calls itself without end.
    (if (i32.eq (global.get $what) (i32.const 3)) (then (drop (call $recurse (i32.const 0)))))
    ;; 4: traps.
    (if (i32.eq (global.get $what) (i32.const 4)) (then (unreachable))))

  (func $recurse (param $depth i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get $depth) (i32.const 1))) (local.get $depth)))

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $place i32)
    (call $misbehave (i32.const 9))
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.set $top (i32.add (local.get $place) (local.get $size)))
    (loop $grow
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16))) (then
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
        (br $grow))))
    (local.get $place))

  (func $start (call $misbehave (i32.const 0)))
  (start $start)
