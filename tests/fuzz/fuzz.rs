//! Fuzzes one of the targets by libFuzzer: that which the variable `WASMLX_FUZZ` names.
//!
//! One program has all of them, since it is linking that takes the time and the room.

#![no_main]

mod targets;

use std::backtrace::Backtrace;
use std::panic;
use std::sync::{LazyLock, Mutex, PoisonError};

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("WASMLX_FUZZ").unwrap_or_default();
    let target = targets::ALL.iter().find(|(target, _)| *target == name);
    target.unwrap_or_else(|| panic!("WASMLX_FUZZ names no target: {name:?}")).1
});

/// The last panic. Only one that leaves the target is a finding: those of libraries are caught on purpose.
static PANIC: Mutex<String> = Mutex::new(String::new());

fn initialize() {
    // The first run compiles components, which is not to count as the time of an input.
    TARGET(&[0; 16]);
    // The hook that libFuzzer's crate has just put there ends the process at any panic.
    panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = format!("{panic}\n{}", Backtrace::capture());
    }));
}

libfuzzer_sys::fuzz_target!(init: initialize(), |bytes: &[u8]| {
    if panic::catch_unwind(|| TARGET(bytes)).is_err() {
        eprintln!("{}", PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
});
