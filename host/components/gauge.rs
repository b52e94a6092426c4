//! Counting what calls into components take, on a runtime that is made for it.
//!
//! The counts are of the component's own code and the same on every machine: fuel is about one for each instruction of
//! WebAssembly, whatever it is compiled to.

use std::sync::{Mutex, PoisonError};

use wasmtime::{OptLevel, Store};

use crate::runtime::base_config;
use crate::{ComponentError, ComponentErrorKind};

/// The fuel of a store before each call. No call can use it up.
const FULL: u64 = 1 << 60;

/// What the calls of a counting runtime's components took, until somebody takes note of it.
#[derive(Debug, Default)]
pub struct Gauge(Mutex<Vec<Reading>>);

/// What one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// What was called: `policy.step`; `instantiation` where an instance was made.
    pub function: &'static str,
    /// Fuel.
    pub fuel: u64,
    /// Bytes of linear memory and tables that the instance has after it.
    pub memory: usize,
}

impl Gauge {
    /// The calls since the last time, in their order.
    pub fn take(&self) -> Vec<Reading> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A `wasmtime::Engine` whose code counts. It is compiled quickly rather than well: that changes no count.
    pub(crate) fn engine() -> Result<wasmtime::Engine, ComponentError> {
        let mut config = base_config();
        config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
        wasmtime::Engine::new(&config).map_err(|error| {
            let message = format!("instructions cannot be counted on this machine: {error:#}");
            ComponentError::new(ComponentErrorKind::Unavailable, "", message)
        })
    }

    /// A store without fuel runs nothing.
    pub(crate) fn fill<T>(store: &mut Store<T>) {
        // Only an engine that does not count refuses, and then there is nothing to fill.
        let _ = store.set_fuel(FULL);
    }

    /// Notes what a call took, whose instance has so much memory now.
    pub(crate) fn count<T>(&self, function: &'static str, store: &mut Store<T>, memory: usize) {
        let fuel = FULL - store.get_fuel().unwrap_or(FULL);
        Self::fill(store);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Reading { function, fuel, memory });
    }
}
