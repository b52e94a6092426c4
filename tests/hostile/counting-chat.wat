;; A chat in the raw that keeps a number: how often it has answered, which it saves as one byte. Each answer is two digits,
;; that number and how many messages there were, and it appends a message that is empty. At the answer whose number is
;; OPERATIONS it traps.
(module
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]conversation" (func $new (param i32) (result i32)))
  (import "[export]wasmlx:runner/chat@0.1.0" "[resource-new]turn" (func $new-turn (param i32) (result i32)))
  (import "wasmlx:runner/history@0.1.0" "length" (func $length (result i32)))
  (import "wasmlx:runner/history@0.1.0" "append"
    (func $append (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
COMMON
  (global $answers (mut i32) (i32.const 0))
  (data (i32.const 1100) "assistant")
  ;; ok([content(2 bytes at 1120), done(stop)])
  (data (i32.const 1200) "\00\00\00\00" "\c0\04\00\00" "\02\00\00\00")
  (data (i32.const 1216) "\00\00\00\00" "\60\04\00\00" "\02\00\00\00")
  (data (i32.const 1244) "\05")
  ;; saved(version 1, 1 byte at 1140)
  (data (i32.const 1300) "\01\00\00\00" "\74\04\00\00" "\01\00\00\00")

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.open") (param i32 i32) (result i32)
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.send") (param i32) (result i32)
    (global.set $answers (i32.add (global.get $answers) (i32.const 1)))
    (if (i32.eq (global.get $answers) (i32.const OPERATIONS)) (then (unreachable)))
    (i32.store8 (i32.const 1120) (i32.add (i32.const 48) (global.get $answers)))
    (i32.store8 (i32.const 1121) (i32.add (i32.const 48) (call $length)))
    (call $append (i32.const 1100) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 2048))
    (i32.store (i32.const 3076) (call $new-turn (i32.const 8)))
    (i32.const 3072))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next") (param i32) (result i32)
    (unreachable))

  (func (export "wasmlx:runner/chat@0.1.0#[method]turn.next-batch") (param i32 i32) (result i32)
    (i32.const 1200))

  (func (export "wasmlx:runner/chat@0.1.0#[method]conversation.save") (param i32) (result i32)
    (i32.store8 (i32.const 1140) (global.get $answers))
    (i32.const 1300))

  (func (export "wasmlx:runner/chat@0.1.0#[static]conversation.restore") (param i32 i32 i32 i32 i32) (result i32)
    (global.set $answers (i32.load8_u (local.get 3)))
    (i32.store (i32.const 3076) (call $new (i32.const 7)))
    (i32.const 3072)))
