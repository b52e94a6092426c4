;; policy step: a million rounds of a loop in every step.
(local.set $left (i32.const 1000000))
(loop $more
  (local.set $left (i32.sub (local.get $left) (i32.const 1)))
  (br_if $more (local.get $left)))
