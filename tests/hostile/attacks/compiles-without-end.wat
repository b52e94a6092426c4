;; chat send: forty answers, each of a grammar that takes a tenth of a second until it is refused.
(call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
(local.set $context (i32.load (i32.const 2052)))
(local.set 0 (i32.const 40))
(loop $more
  (global.set $top (i32.const 65536))
  (call $generate (local.get $context) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 2112) (i32.const 61)
    (i32.const 2048))
  (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
  (br_if $more (local.get 0)))
(return (i32.const 2048))
;; [module]
  (data (i32.const 2112) "start: A\0aA: /.*a.{12}/ & /.*b.{13}/ & /.*c.{14}/ & ~/.*ddd.*/")
