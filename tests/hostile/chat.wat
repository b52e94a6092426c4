;; A chat in the raw: it answers everything with nothing but `done(stop)`.
(module
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]conversation" (func $new (param i32) (result i32)))
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]turn" (func $new-turn (param i32) (result i32)))
  (import "wasmlx:runner/contexts@0.1.0" "open" (func $open (param i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]context.prompt" (func $prompt (param i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]context.generate"
    (func $generate (param i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]context.truncate" (func $truncate (param i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]generation.next-batch" (func $generated (param i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[resource-drop]context" (func $drop-context (param i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[resource-drop]generation" (func $drop-generation (param i32)))
  (import "wasmlx:runner/models@0.1.0" "list" (func $models (param i32)))
  (import "wasmlx:runner/models@0.1.0" "encode" (func $encode (param i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/models@0.1.0" "decode" (func $decode (param i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/templates@0.1.0" "render"
    (func $render (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/history@0.1.0" "append"
    (func $append (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/tools@0.1.0" "call" (func $call-tool (param i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
COMMON
  ;; [module]
  ;; ok([done(stop)])
  (data (i32.const 1200) "\00\00\00\00" "\c0\04\00\00" "\01\00\00\00")
  (data (i32.const 1216) "\05")

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.open") (param $config i32) (param $length i32) (result i32)
    (call $misbehave (i32.const 1))
    ;; [open]
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.send") (param i32) (result i32)
    (local $context i32)
    (call $misbehave (i32.const 2))
    ;; [send]
    (i32.store (i32.const 3076) (call $new-turn (i32.const 8)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next") (param i32) (result i32)
    (unreachable))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next-batch") (param i32 i32) (result i32)
    (call $misbehave (i32.const 3))
    ;; [next-batch]
    (i32.const 1200))

  (func (export "wasmlx:runner/chat@0.1.0#[dtor]turn") (param i32)
    (call $misbehave (i32.const 4)))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.save") (param i32) (result i32)
    (call $misbehave (i32.const 5))
    (i32.const 1024))

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.restore") (param i32 i32 i32 i32 i32) (result i32)
    (call $misbehave (i32.const 6))
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "cabi_post_wasmlx:runner/chat@0.1.0#[method]turn.next-batch") (param i32)
    (call $misbehave (i32.const 7))))
