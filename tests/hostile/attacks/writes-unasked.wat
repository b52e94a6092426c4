;; agent run: to stdout, more than it was permitted to and without having asked.
(call $write (call $stdout) (i32.const 0) (i32.const 100000) (i32.const 2048))
