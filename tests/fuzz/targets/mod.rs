//! What is fuzzed: every reader of what a guest says, or of a file that may be anyone's. Each `run` takes any bytes and
//! panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise panics")]
#![allow(dead_code, reason = "each fuzzing program runs one of them")]

pub(crate) mod artefact;
pub(crate) mod cases;
pub(crate) mod choices;
pub(crate) mod component;
pub(crate) mod outputs;
pub(crate) mod saved;
pub(crate) mod segments;

use std::sync::LazyLock;

use wasmlx_components::{Runtime, RuntimeOptions};

/// The runtime of all targets that need one.
fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(RuntimeOptions::default()).unwrap());
    &RUNTIME
}

/// Takes numbers off the front of some bytes; zeros once they are spent.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.next()))
    }
}
