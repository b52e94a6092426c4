//! What a program learns where MLX cannot be opened, and that it may end while MLX computes.
//!
//! A process opens MLX once, so each case runs this program again, as a child with an environment of its own.
#![cfg(not(target_vendor = "apple"))]

use std::process::Command;

use mlx_sys::runtime::{self, LoadErrorKind, MLX_DIR_VARIABLE};
use mlx_sys::*;

/// What the child asks for; it is not set in the parent.
const CHILD: &str = "MLX_SYS_TEST_CHILD";

/// Runs this test of the same name in a child, with MLX looked for in `folder`, and returns what it printed.
fn child(test: &str, folder: &std::path::Path) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output =
        command.args([test, "--exact", "--nocapture"]).env(CHILD, "1").env(MLX_DIR_VARIABLE, folder).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[test]
fn a_folder_without_mlx_is_not_found() {
    if is_child() {
        let error = runtime::load().unwrap_err();
        assert_eq!(error.kind, LoadErrorKind::NotFound);
        println!("the error: {error}");
        return;
    }
    let folder = scratch("empty");
    let printed = child("a_folder_without_mlx_is_not_found", &folder);
    assert!(printed.contains("the error: MLX") && printed.contains(MLX_DIR_VARIABLE), "{printed}");
}

#[test]
fn a_torn_library_is_refused() {
    if is_child() {
        let error = runtime::load().unwrap_err();
        assert_eq!(error.kind, LoadErrorKind::Refused);
        println!("the error: {error}");
        return;
    }
    let folder = scratch("torn");
    std::fs::write(folder.join("libmlx.so"), "\x7fELF and no more").unwrap();
    let printed = child("a_torn_library_is_refused", &folder);
    assert!(printed.contains("the error: the loader refused") && printed.contains("libmlx.so"), "{printed}");
}

#[test]
fn a_call_without_mlx_aborts_with_the_same_message() {
    if is_child() {
        let array = unsafe { mlx_sys::mlx_array_new() };
        unreachable!("{array:?}");
    }
    let printed = child("a_call_without_mlx_aborts_with_the_same_message", &scratch("none"));
    assert!(printed.contains(MLX_DIR_VARIABLE) && !printed.contains("unreachable"), "{printed}");
}

/// Queues `steps` products of square matrices, one after the other. Those of 512 rows are cut among the BLAS's threads.
fn queue_products(rows: i32, steps: usize) {
    unsafe {
        let stream = mlx_default_cpu_stream_new();
        let mut product = mlx_array_new();
        assert_eq!(mlx_ones(&mut product, [rows, rows].as_ptr(), 2, mlx_dtype__MLX_FLOAT32, stream), 0);
        let ones = product;
        for _ in 0..steps {
            let mut next = mlx_array_new();
            assert_eq!(mlx_matmul(&mut next, product, ones, stream), 0);
            product = next;
        }
        let queued = mlx_vector_array_new_value(product);
        assert_eq!(mlx_async_eval(queued), 0);
    }
}

/// Runs a test's child, which leaves with status 7, again and again.
fn exits_every_time(test: &str) {
    for _ in 0..20 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let status = command.args([test, "--exact"]).env(CHILD, "1").output().unwrap().status;
        assert_eq!(status.code(), Some(7), "{status}");
    }
}

#[test]
fn a_process_may_exit_while_mlx_computes() {
    if is_child() {
        queue_products(512, 100);
        std::process::exit(7);
    }
    exits_every_time("a_process_may_exit_while_mlx_computes");
}

#[test]
fn a_process_may_exit_while_another_thread_builds_and_computes() {
    if is_child() {
        let (began, has_begun) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            loop {
                queue_products(512, 3);
                // Nobody listens after the first.
                let _ = began.send(());
            }
        });
        has_begun.recv().unwrap();
        std::process::exit(7);
    }
    exits_every_time("a_process_may_exit_while_another_thread_builds_and_computes");
}

/// An empty folder of this test's own.
fn scratch(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
