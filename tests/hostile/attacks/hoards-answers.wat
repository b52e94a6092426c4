;; chat send: answers that may become long, all at once, of contexts that it drops meanwhile, until the host refuses.
;; [trusted("ok")]
(i32.store (i32.const 2112) (i32.const 1))
(i32.store (i32.const 2116) (i32.const 1200))
(i32.store (i32.const 2120) (i32.const 2))
(loop $more
  (call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (local.set $context (i32.load (i32.const 2052)))
  (call $prompt (local.get $context) (i32.const 2112) (i32.const 1) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (call $generate (local.get $context) (i32.const 1) (i32.const 4000) (i32.const 0) (i32.const 0) (i32.const 0)
    (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (call $drop-context (local.get $context))
  (br $more))
