;; template render: a text that is no UTF-8.
(i32.store (i32.const 1100) (i32.const 0xfffefdfc))
(return (i32.const 1200))
