;; A policy in the raw: each step scales the logits OPERATIONS times by 1 and takes the best token. With HOARD it keeps
;; the logits of its first step and uses those at every later one. With READS it reads the entropy first.
(module
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.scale" (func $scale (param i32 f32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.argmax" (func $argmax (param i32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.entropy" (func $entropy (param i32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.top-p" (func $top-p (param i32 f32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.forbid" (func $forbid (param i32 i32 i32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[method]logits.constrain" (func $constrain (param i32 i32 i32)))
  (import "wasmlx:runner/logits@0.1.0" "[resource-drop]logits" (func $drop (param i32)))
  (import "wasmlx:runner/grammars@0.1.0" "[static]grammar.from-regex" (func $from-regex (param i32 i32 i32)))
  (import "wasmlx:runner/vocabulary@0.1.0" "token-bytes" (func $token-bytes (param i32 i32 i32)))
  (import "wasmlx:runner/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "[export]wasmlx:runner/policy@0.1.0" "[resource-new]policy" (func $new (param i32) (result i32)))
COMMON
  ;; [module]
  (global $hoarded (mut i32) (i32.const 0))

  ;; Zeros at 1024 are `ok(none)`, and an empty state.
  (func (export "wasmlx:runner/policy@0.1.0#plan") (param i32 i32) (result i32)
    (local $at i32)
    (call $misbehave (i32.const 1))
    ;; [plan]
    (i32.const 1024))

  (func (export "wasmlx:runner/policy@0.1.0#[static]policy.open") (param $config i32) (param $length i32) (result i32)
    (call $misbehave (i32.const 2))
    ;; [open]
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "wasmlx:runner/policy@0.1.0#[method]policy.max-backtrack") (param i32) (result i32)
    (call $misbehave (i32.const 3))
    (i32.const BACKTRACK))

  ;; A result of an operation has its error where the result of a step has its own, so it is passed on as it is.
  (func (export "wasmlx:runner/policy@0.1.0#[method]policy.step")
    (param $self i32) (param $position i32) (param $generated i32) (param $new i32) (param $count i32)
    (param $logits i32) (result i32)
    (local $left i32)
    (call $misbehave (i32.const 4))
    (global.set $top (i32.const 65536))
    ;; [step]
    (if (i32.const HOARD) (then
      (if (global.get $hoarded)
        (then (call $drop (local.get $logits)) (local.set $logits (global.get $hoarded)))
        (else (global.set $hoarded (local.get $logits))))))
    (if (i32.const READS) (then (call $entropy (local.get $logits) (i32.const 2048))))
    (local.set $left (i32.const OPERATIONS))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (call $scale (local.get $logits) (f32.const 1) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (call $argmax (local.get $logits) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (if (i32.eqz (i32.const HOARD)) (then (call $drop (local.get $logits))))
    ;; ok(token(handle))
    (i64.store (i32.const 3072) (i64.const 0))
    (i32.store (i32.const 3080) (i32.load (i32.const 2052)))
    (i32.const 3072))

  (func (export "wasmlx:runner/policy@0.1.0#[method]policy.save") (param i32) (result i32)
    (call $misbehave (i32.const 5))
    ;; [save]
    (i32.const 1024))

  (func (export "wasmlx:runner/policy@0.1.0#[static]policy.restore") (param i32 i32 i32 i32 i32) (result i32)
    (call $misbehave (i32.const 6))
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "cabi_post_wasmlx:runner/policy@0.1.0#[method]policy.save") (param i32)
    (call $misbehave (i32.const 7))))
