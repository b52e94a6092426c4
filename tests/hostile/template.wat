;; A template in the raw: every conversation is the trusted text `ok`, every answer is content.
(module
  (import "[export]wasmlx:runner/template@0.1.0" "[resource-new]parser" (func $new (param i32) (result i32)))
COMMON
  ;; [module]
  (data (i32.const 1100) "ok")
  ;; ok([trusted("ok")])
  (data (i32.const 1200) "\00\00\00\00" "\c0\04\00\00" "\01\00\00\00")
  (data (i32.const 1216) "\01\00\00\00" "\4c\04\00\00" "\02\00\00\00")

  (func (export "wasmlx:runner/template@0.1.0#configure") (param $config i32) (param $length i32) (result i32)
    (call $misbehave (i32.const 1))
    ;; [configure]
    (i32.const 1024))

  (func (export "wasmlx:runner/template@0.1.0#render")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $at i32) (local $count i32)
    (call $misbehave (i32.const 2))
    (global.set $top (i32.const 65536))
    ;; [render]
    (i32.const 1200))

  (func (export "wasmlx:runner/template@0.1.0#stops") (result i32)
    (local $at i32)
    (call $misbehave (i32.const 3))
    ;; [stops]
    (i32.const 1024))

  (func (export "wasmlx:runner/template@0.1.0#[constructor]parser") (param i32 i32 i32 i32) (result i32)
    (call $misbehave (i32.const 4))
    (call $new (i32.const 7)))

  (func (export "wasmlx:runner/template@0.1.0#[method]parser.push")
    (param $self i32) (param $text i32) (param $length i32) (result i32)
    (call $misbehave (i32.const 5))
    (global.set $top (i32.const 65536))
    ;; [push]
    ;; [content(text)]
    (i32.store (i32.const 2048) (i32.const 2056))
    (i32.store (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) (i32.const 0))
    (i32.store (i32.const 2060) (local.get $text))
    (i32.store (i32.const 2064) (local.get $length))
    (i32.const 2048))

  (func (export "wasmlx:runner/template@0.1.0#[method]parser.finish") (param i32) (result i32)
    (call $misbehave (i32.const 6))
    (i32.const 1024))

  (func (export "wasmlx:runner/template@0.1.0#[dtor]parser") (param i32)
    (call $misbehave (i32.const 7)))

  (func (export "cabi_post_wasmlx:runner/template@0.1.0#render") (param i32)
    (call $misbehave (i32.const 8))))
