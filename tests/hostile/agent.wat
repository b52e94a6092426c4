;; An agent in the raw: does nothing, well.
(module
COMMON
  (func (export "run") (param i32 i32) (result i32)
    (call $misbehave (i32.const 1))
    (i32.const 1024)))
