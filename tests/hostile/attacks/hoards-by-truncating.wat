;; chat send: contexts that are nearly full, whose text it has read and cuts away, until the host refuses.
;; [trusted(4,000 bytes)]
(i32.store (i32.const 2112) (i32.const 1))
(i32.store (i32.const 2116) (i32.const 70000))
(i32.store (i32.const 2120) (i32.const 4000))
(loop $more
  (call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (local.set $context (i32.load (i32.const 2052)))
  (call $prompt (local.get $context) (i32.const 2112) (i32.const 1) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (call $generate (local.get $context) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
    (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (local.set 0 (i32.load (i32.const 2052)))
  (loop $read
    (call $generated (local.get 0) (i32.const 64) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (br_if $read (i32.load (i32.const 2056))))
  (call $drop-generation (local.get 0))
  (call $truncate (local.get $context) (i32.const 0) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
  (br $more))
