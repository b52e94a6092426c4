;; chat open: hides a secret, looks for one, or both, as its configuration says.
(call $secret (i32.load8_u (local.get $config)))
;; [module]
SECRET
