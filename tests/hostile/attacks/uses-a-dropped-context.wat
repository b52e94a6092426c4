;; chat send: a context that it dropped.
(call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
(local.set $context (i32.load (i32.const 2052)))
(call $drop-context (local.get $context))
(call $prompt (local.get $context) (i32.const 2112) (i32.const 0) (i32.const 2048))
