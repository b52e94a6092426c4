//! What is fuzzed: every reader of what a guest or a server says, or of a file that may be anyone's. Each `run` takes
//! any bytes and panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise panics")]
mod artefact;
mod cases;
mod choices;
mod component;
#[cfg(feature = "mlx")]
mod config;
mod facts;
mod hub;
mod journal;
mod manifest;
mod mapping;
mod outputs;
mod plan;
mod safetensors;
mod saved;
mod segments;
mod sentence;
mod signature;
mod tokenizer;
mod usage;

use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use wasmlx_components::{Runtime, RuntimeOptions};
use wasmlx_store::Store;

/// Panics where bytes break a promise.
pub(crate) type Target = fn(&[u8]);

/// Every target, by its name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("artefact", artefact::run),
    ("cases", cases::run),
    ("choices", choices::run),
    ("component", component::run),
    #[cfg(feature = "mlx")]
    ("config", config::run),
    ("facts", facts::run),
    ("hub", hub::run),
    ("journal", journal::run),
    ("manifest", manifest::run),
    ("mapping", mapping::run),
    ("outputs", outputs::run),
    ("plan", plan::run),
    ("safetensors", safetensors::run),
    ("saved", saved::run),
    ("segments", segments::run),
    ("sentence", sentence::run),
    ("signature", signature::run),
    ("tokenizer", tokenizer::run),
    ("usage", usage::run),
];

/// The runtime of all targets that need one.
fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(RuntimeOptions::default()).unwrap());
    &RUNTIME
}

/// What runs what waits for sockets.
fn tokio() -> &'static tokio::runtime::Runtime {
    static TOKIO: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    &TOKIO
}

/// A folder of a target's own, made at its first run.
struct Home(OnceLock<tempfile::TempDir>);

impl Home {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn path(&self) -> &Path {
        self.0.get_or_init(|| tempfile::tempdir().unwrap()).path()
    }

    /// The store that it is the home of.
    fn store(&self) -> Store {
        Store::open(self.path())
    }
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
