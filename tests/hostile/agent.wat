;; An agent in the raw: does nothing, well.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasmlx:runner/console@0.1.0" "print" (func $print (param i32 i32 i32)))
COMMON
  (func (export "run") (param i32 i32) (result i32)
    (call $misbehave (i32.const 1))
    ;; [run]
    (i32.const 1024)))
