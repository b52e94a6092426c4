;; template push: handles on resources of its own, without end.
(loop $more
  (drop (call $new (i32.const 7)))
  (br $more))
