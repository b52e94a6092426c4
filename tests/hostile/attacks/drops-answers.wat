;; chat send: a hundred answers, each dropped before the next is asked for.
(local.set 0 (i32.const 100))
(call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
(local.set $context (i32.load (i32.const 2052)))
;; [trusted("ok")]
(i32.store (i32.const 2112) (i32.const 1))
(i32.store (i32.const 2116) (i32.const 1200))
(i32.store (i32.const 2120) (i32.const 2))
(call $prompt (local.get $context) (i32.const 2112) (i32.const 1) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
(loop $more
  (call $generate (local.get $context) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (call $drop-generation (i32.load (i32.const 2052)))
  (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
  (br_if $more (local.get 0)))
