//! What the fake device has done, and what it holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::script::{FILE_BYTES, FILES};
use crate::{BackendError, BackendErrorKind, Counters, Memory};

/// Bytes that each token takes in a cache.
pub(super) const TOKEN_BYTES: u64 = 1024;

/// Shared by a device and everything made by it.
#[derive(Default)]
pub(super) struct State(Mutex<Totals>);

#[derive(Default)]
struct Totals {
    /// The most tokens of all caches together, where there is a most.
    room: Option<usize>,
    counters: Counters,
    passes: u64,
    loads: u64,
    models: u64,
    clearings: u64,
    peak_bytes: u64,
    made_caches: u64,
    caches: BTreeMap<u64, Arc<Mutex<Vec<u32>>>>,
}

/// Sees what a fake device does, from any thread.
#[derive(Clone)]
pub struct FakeProbe(Arc<State>);

impl FakeProbe {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self(state)
    }

    /// What the device was asked to do so far.
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }

    /// How many passes of both kinds were queued so far.
    pub fn passes(&self) -> u64 {
        self.0.lock().passes
    }

    /// How many loads were begun so far.
    pub fn loads(&self) -> u64 {
        self.0.lock().loads
    }

    /// How many models are loaded.
    pub fn models(&self) -> u64 {
        self.0.lock().models
    }

    /// How often memory kept for reuse was given back.
    pub fn clearings(&self) -> u64 {
        self.0.lock().clearings
    }

    /// The tokens that each live cache has read, oldest cache first.
    pub fn caches(&self) -> Vec<Vec<u32>> {
        self.0.lock().caches.values().map(|tokens| lock(tokens).clone()).collect()
    }
}

impl State {
    /// A device that has room for so many tokens in its caches.
    pub(super) fn with_room(room: Option<usize>) -> Self {
        Self(Mutex::new(Totals { room, ..Totals::default() }))
    }

    /// That its caches and so many tokens more fit.
    pub(super) fn check_room(&self, more: usize) -> Result<(), BackendError> {
        let totals = self.lock();
        let held: usize = totals.caches.values().map(|tokens| lock(tokens).len()).sum();
        match totals.room {
            Some(room) if held + more > room => {
                let message = format!("{} tokens do not fit: the script has room for {room}", held + more);
                Err(BackendError::new(BackendErrorKind::OutOfMemory, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(super) fn memory(&self) -> Memory {
        let totals = self.lock();
        Memory { active_bytes: totals.active_bytes(), peak_bytes: totals.peak_bytes }
    }

    pub(super) fn reset_peak_memory(&self) {
        let mut totals = self.lock();
        totals.peak_bytes = totals.active_bytes();
    }

    /// Lets the peak follow what is in use now.
    pub(super) fn note_memory(&self) {
        let mut totals = self.lock();
        totals.peak_bytes = totals.peak_bytes.max(totals.active_bytes());
    }

    pub(super) fn next_pass(&self) -> u64 {
        let mut totals = self.lock();
        totals.counters.forwards += 1;
        totals.passes += 1;
        totals.passes - 1
    }

    pub(super) fn next_load(&self) -> u64 {
        let mut totals = self.lock();
        totals.loads += 1;
        totals.loads - 1
    }

    pub(super) fn count_eval(&self) {
        self.lock().counters.evals += 1;
    }

    pub(super) fn count_read(&self) {
        self.lock().counters.reads += 1;
    }

    pub(super) fn count_clearing(&self) {
        self.lock().clearings += 1;
    }

    pub(super) fn add_model(&self) {
        self.lock().models += 1;
        self.note_memory();
    }

    pub(super) fn remove_model(&self) {
        self.lock().models -= 1;
    }

    pub(super) fn add_cache(&self, tokens: &Arc<Mutex<Vec<u32>>>) -> u64 {
        let mut totals = self.lock();
        totals.made_caches += 1;
        let number = totals.made_caches;
        totals.caches.insert(number, Arc::clone(tokens));
        number
    }

    pub(super) fn remove_cache(&self, number: u64) {
        self.lock().caches.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        lock(&self.0)
    }
}

impl Totals {
    fn active_bytes(&self) -> u64 {
        let cached: u64 = self.caches.values().map(|tokens| lock(tokens).len() as u64 * TOKEN_BYTES).sum();
        self.models * FILES * FILE_BYTES + cached
    }
}

/// A scripted panic of the device must not hide from the test what was there before it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
