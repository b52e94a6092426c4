;; template render: a control token that the model lacks.
(i32.store8 (i32.const 1216) (i32.const 0))
(return (i32.const 1200))
