//! The opened libraries compute, in each number format, and the fast BLAS is the one that answers.
#![cfg(not(target_vendor = "apple"))]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Mutex;

use mlx_sys::*;

/// A device's default stream; freed with the process.
fn cpu() -> mlx_stream {
    unsafe { mlx_default_cpu_stream_new() }
}

fn array(values: &[f32], shape: &[c_int]) -> mlx_array {
    let (data, dtype) = (values.as_ptr().cast::<c_void>(), mlx_dtype__MLX_FLOAT32);
    unsafe { mlx_array_new_data(data, shape.as_ptr(), shape.len() as c_int, dtype) }
}

fn values(array: mlx_array) -> Vec<f32> {
    unsafe {
        assert_eq!(mlx_array_eval(array), 0);
        std::slice::from_raw_parts(mlx_array_data_float32(array), mlx_array_size(array)).to_vec()
    }
}

#[test]
fn opened_libraries_are_named() {
    let loaded = runtime::load().expect("MLX opens");
    assert!(loaded.mlx.ends_with("libmlx.so"), "{loaded:?}");
    assert!(loaded.blas.is_some(), "OpenBLAS is not in use: {loaded:?}");
}

#[test]
fn matrices_multiply() {
    let (left, right) = (array(&[1., 2., 3., 4.], &[2, 2]), array(&[5., 6., 7., 8.], &[2, 2]));
    let mut product = unsafe { mlx_array_new() };
    assert_eq!(unsafe { mlx_matmul(&mut product, left, right, cpu()) }, 0);
    assert_eq!(values(product), [19., 22., 43., 50.]);
}

/// Each thread has MLX's default stream of its own, and they share the threads of the BLAS.
#[test]
fn threads_multiply_at_once() {
    // Large enough to be cut among the helpers. Each row of the left times each column of the right is `size * left`.
    let size = 512;
    let multiply = move |left: f32| {
        let shape = [size, size];
        let count = (size * size) as usize;
        for _ in 0..8 {
            let mut product = unsafe { mlx_array_new() };
            let (left_array, ones) = (array(&vec![left; count], &shape), array(&vec![1.0; count], &shape));
            assert_eq!(unsafe { mlx_matmul(&mut product, left_array, ones, cpu()) }, 0);
            assert!(values(product).iter().all(|&value| value == size as f32 * left), "{left}");
        }
    };
    std::thread::scope(|scope| {
        for left in [1.0, 2.0, 3.0, 4.0] {
            scope.spawn(move || multiply(left));
        }
    });
}

#[test]
fn half_precision_items_come_back_as_bits() {
    let one_and_a_half = array(&[1.5], &[1]);
    let mut half = unsafe { mlx_array_new() };
    let (mut bits, mut brain_bits) = (float16_t(0), 0);
    unsafe {
        assert_eq!(mlx_astype(&mut half, one_and_a_half, mlx_dtype__MLX_FLOAT16, cpu()), 0);
        assert_eq!(mlx_array_eval(half), 0);
        assert_eq!(mlx_array_item_float16(&mut bits, half), 0);
        assert_eq!((*mlx_array_data_float16(half)).0, bits.0);
        assert_eq!(mlx_astype(&mut half, one_and_a_half, mlx_dtype__MLX_BFLOAT16, cpu()), 0);
        assert_eq!(mlx_array_eval(half), 0);
        assert_eq!(mlx_array_item_bfloat16(&mut brain_bits, half), 0);
        assert_eq!(*mlx_array_data_bfloat16(half), brain_bits);
    }
    // 1.5 is sign 0, exponent 0, fraction 0.1: 0 01111 1000000000 in IEEE half, 0 01111111 1000000 in bfloat16.
    assert_eq!((bits.0, brain_bits), (0x3e00, 0x3fc0));
}

#[test]
fn cpp_errors_come_back_as_codes_with_text() {
    // The handler is the process's, and no other test here fails inside MLX.
    static MESSAGE: Mutex<String> = Mutex::new(String::new());
    unsafe extern "C" fn keep(message: *const c_char, _data: *mut c_void) {
        *MESSAGE.lock().unwrap() = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    }
    let mut product = unsafe { mlx_array_new() };
    let failed = unsafe {
        mlx_set_error_handler(Some(keep), std::ptr::null_mut(), None);
        mlx_matmul(&mut product, array(&[1., 2.], &[1, 2]), array(&[1., 2., 3.], &[3, 1]), cpu())
    };
    let message = MESSAGE.lock().unwrap();
    assert_ne!(failed, 0);
    assert!(message.contains("matmul"), "{message}");
}

/// `blas.c` sends products with one row or one column another way, and cuts large ones into pieces by columns or rows;
/// each layout of either side must give the same sums.
#[test]
fn products_of_every_shape_in_every_layout() {
    const INNER: c_int = 37;
    let small = [(1, 29), (29, 1), (1, 1), (3, 29)];
    let large = [(1, 70_001), (70_001, 1), (130, 1_003), (1_003, 130)];
    for (rows, columns) in small.into_iter().chain(large) {
        let element = |index: c_int, step: c_int| ((index * step) % 11 - 5) as f32;
        let expected: Vec<f32> = (0..rows * columns)
            .map(|place| (place / columns, place % columns))
            .map(|(row, column)| {
                (0..INNER).map(|k| element(row * INNER + k, 7) * element(k * columns + column, 3)).sum()
            })
            .collect();
        for (flip_left, flip_right) in [(false, false), (false, true), (true, false), (true, true)] {
            let left = matrix(rows, INNER, flip_left, |row, k| element(row * INNER + k, 7));
            let right = matrix(INNER, columns, flip_right, |k, column| element(k * columns + column, 3));
            let ones = array(&vec![1.0; (rows * columns) as usize], &[rows, columns]);
            let (mut product, mut sum) = unsafe { (mlx_array_new(), mlx_array_new()) };
            unsafe {
                assert_eq!(mlx_matmul(&mut product, left, right, cpu()), 0);
                assert_eq!(mlx_addmm(&mut sum, ones, left, right, 2.0, 3.0, cpu()), 0);
            }
            assert_eq!(values(product), expected, "{rows}x{columns}, {flip_left} {flip_right}");
            let scaled: Vec<f32> = expected.iter().map(|value| 2.0 * value + 3.0).collect();
            assert_eq!(values(sum), scaled, "{rows}x{columns}, {flip_left} {flip_right}");
        }
    }
}

/// A matrix of `rows` by `columns`, whose memory holds it column by column if `flipped`.
fn matrix(rows: c_int, columns: c_int, flipped: bool, element: impl Fn(c_int, c_int) -> f32) -> mlx_array {
    let (outer, inner) = if flipped { (columns, rows) } else { (rows, columns) };
    let stored: Vec<f32> = (0..outer)
        .flat_map(|outer| (0..inner).map(move |inner| if flipped { (inner, outer) } else { (outer, inner) }))
        .map(|(row, column)| element(row, column))
        .collect();
    let stored = array(&stored, &[outer, inner]);
    if !flipped {
        return stored;
    }
    let mut transposed = unsafe { mlx_array_new() };
    assert_eq!(unsafe { mlx_transpose(&mut transposed, stored, cpu()) }, 0);
    transposed
}
