;; chat send: asks for the models, without end. Each call of the host begins a new slice.
(loop $more
  (global.set $top (i32.const 65536))
  (call $models (i32.const 2048))
  (br $more))
