;; policy step: logits that it dropped.
(call $drop (local.get $logits))
(call $scale (local.get $logits) (f32.const 2) (i32.const 2048))
