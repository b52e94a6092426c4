;; A chat in the raw whose answers are of a grammar of its own: by OPERATIONS a JSON Schema, a regular expression, a
;; grammar in Lark, or what is none. It gives the answer as it comes, and appends no message.
(module
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]conversation" (func $new (param i32) (result i32)))
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]turn" (func $new-turn (param i32) (result i32)))
  (import "wasmlx:runner/contexts@0.1.0" "open" (func $open (param i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]context.prompt" (func $prompt (param i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]context.generate"
    (func $generate (param i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasmlx:runner/contexts@0.1.0" "[method]generation.next-batch" (func $generated (param i32 i32 i32)))
COMMON
  (global $generation (mut i32) (i32.const 0))
  (data (i32.const 1100) "ok")
  ;; [trusted("ok")]
  (data (i32.const 1200) "\01\00\00\00" "\4c\04\00\00" "\02\00\00\00")
  ;; The grammars: where each is, how long it is, and which case of `grammar-source` it is
  (data (i32.const 1300) "\78\05\00\00" "\2c\00\00\00" "\00\00\00\00")
  (data (i32.const 1312) "\dc\05\00\00" "\13\00\00\00" "\01\00\00\00")
  (data (i32.const 1324) "\40\06\00\00" "\13\00\00\00" "\02\00\00\00")
  (data (i32.const 1336) "\a4\06\00\00" "\03\00\00\00" "\01\00\00\00")
  (data (i32.const 1400) "{\"type\":\"integer\",\"minimum\":10,\"maximum\":99}")
  (data (i32.const 1500) "(red|blue) [0-9]{2}")
  (data (i32.const 1600) "start: \"yes\" | \"no\"")
  (data (i32.const 1700) "a(b")
  ;; ok([the event at 3000])
  (data (i32.const 2900) "\00\00\00\00" "\b8\0b\00\00" "\01\00\00\00")

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.open") (param i32 i32) (result i32)
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.send") (param i32) (result i32)
    (local $context i32) (local $grammar i32)
    (local.set $grammar (i32.add (i32.const 1300) (i32.mul (i32.const 12) (i32.const OPERATIONS))))
    (call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (local.set $context (i32.load (i32.const 2052)))
    (call $prompt (local.get $context) (i32.const 1200) (i32.const 1) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (call $generate (local.get $context) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.load offset=8 (local.get $grammar))
      (i32.load (local.get $grammar)) (i32.load offset=4 (local.get $grammar)) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (global.set $generation (i32.load (i32.const 2052)))
    (i32.store (i32.const 3076) (call $new-turn (i32.const 8)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next") (param i32) (result i32)
    (unreachable))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next-batch") (param i32 i32) (result i32)
    (local $event i32)
    (call $generated (global.get $generation) (i32.const 1) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
    (local.set $event (i32.load (i32.const 2052)))
    ;; Content and reasoning have the same numbers in both. `done` is 5 and has the reason behind it.
    (i32.store (i32.const 3000) (i32.load8_u offset=4 (local.get $event)))
    (i32.store (i32.const 3004) (i32.load offset=8 (local.get $event)))
    (i32.store (i32.const 3008) (i32.load offset=12 (local.get $event)))
    (if (i32.load8_u (local.get $event)) (then
      (i32.store (i32.const 3000) (i32.const 5))
      (i32.store (i32.const 3004) (i32.load8_u offset=4 (local.get $event)))))
    (i32.const 2900))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.save") (param i32) (result i32)
    (i32.const 1024))

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.restore") (param i32 i32 i32 i32 i32) (result i32)
    (unreachable)))
