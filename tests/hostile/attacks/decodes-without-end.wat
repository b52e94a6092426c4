;; chat send: the text of more tokens than a text may have.
;; "fake"
(i32.store (i32.const 2112) (i32.const 0x656b6166))
(call $decode (i32.const 2112) (i32.const 4) (i32.const 65536) (i32.const 5000) (i32.const 2048))
(if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
