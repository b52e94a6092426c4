;; template configure: a table that grows without end.
(loop $more
  (br_if $more (i32.ne (table.grow $more (ref.null func) (i32.const 4096)) (i32.const -1))))
(unreachable)
;; [module]
  (table $more 0 funcref)
