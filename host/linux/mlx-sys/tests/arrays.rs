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
