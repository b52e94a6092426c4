//! How far long work is, and whether it is to go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{StoreError, StoreErrorKind};

/// The least time between two tellings.
const INTERVAL: Duration = Duration::from_millis(100);

/// The rate is that of so much time before now.
const WINDOW: Duration = Duration::from_secs(3);

/// What a piece of long work does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Another process does the same work; it is waited for.
    Waiting,
    /// Bytes come over the network.
    Fetching,
    /// Bytes are copied into the store.
    Importing,
    /// Bytes are hashed and compared.
    Verifying,
    /// Weights are computed anew in another form.
    Converting,
}

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What is done.
    pub stage: Stage,
    /// What it is done to: a file, a model.
    pub what: String,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second of late, once that can be told.
    pub rate: Option<f64>,
    /// The time that the rest takes at that rate.
    pub remaining: Option<Duration>,
}

impl Progress {
    /// Whether this is the last of its piece of work.
    pub fn is_last(&self) -> bool {
        self.done >= self.total
    }
}

/// Somebody who watches long work: is told how far it is, and may break it off. What it calls is called from any thread
/// and must not block.
#[derive(Clone, Copy)]
pub struct Monitor<'a> {
    report: &'a (dyn Fn(&Progress) + Send + Sync),
    cancelled: &'a (dyn Fn() -> bool + Send + Sync),
}

impl<'a> Monitor<'a> {
    /// `report` is told of progress, at most ten times a second for each piece of work and at its end; `cancelled` is
    /// asked whether to stop.
    pub fn new(report: &'a (dyn Fn(&Progress) + Send + Sync), cancelled: &'a (dyn Fn() -> bool + Send + Sync)) -> Self {
        Self { report, cancelled }
    }

    /// Nobody.
    pub fn none() -> Self {
        Self { report: &|_| {}, cancelled: &|| false }
    }

    /// # Errors
    /// [`StoreErrorKind::Cancelled`] where the work is to stop.
    pub fn check(&self) -> Result<(), StoreError> {
        match (self.cancelled)() {
            true => Err(StoreError::new(StoreErrorKind::Cancelled, "broken off")),
            false => Ok(()),
        }
    }

    /// Tells that something is waited for.
    pub(crate) fn waiting(&self, what: &str) {
        let what = what.to_owned();
        (self.report)(&Progress { stage: Stage::Waiting, what, done: 0, total: 0, rate: None, remaining: None });
    }
}

/// Counts the bytes of one piece of work, from any thread, and tells of it now and then.
pub struct Meter<'a> {
    monitor: Monitor<'a>,
    stage: Stage,
    what: String,
    total: u64,
    done: AtomicU64,
    told: Mutex<Told>,
}

struct Told {
    /// None until the first.
    last: Option<Instant>,
    /// When how many bytes were done, from the beginning of the window on.
    window: VecDeque<(Instant, u64)>,
}

impl<'a> Meter<'a> {
    /// A piece of work with `done` of its `total` bytes there already.
    pub fn new(monitor: Monitor<'a>, stage: Stage, what: impl Into<String>, done: u64, total: u64) -> Self {
        let told = Told { last: None, window: VecDeque::from([(Instant::now(), done)]) };
        Self { monitor, stage, what: what.into(), total, done: AtomicU64::new(done), told: Mutex::new(told) }
    }

    /// So many bytes more.
    ///
    /// # Errors
    /// [`StoreErrorKind::Cancelled`] where the work is to stop.
    pub fn add(&self, bytes: u64) -> Result<(), StoreError> {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        // Whoever tells at this moment tells for all.
        if let Ok(mut told) = self.told.try_lock() {
            let now = Instant::now();
            if told.last.is_none_or(|last| now.duration_since(last) >= INTERVAL) {
                self.tell(&mut told, now);
            }
        }
        self.monitor.check()
    }

    /// So many bytes were lost and are done again.
    pub fn take_back(&self, bytes: u64) {
        let less = |done: u64| Some(done.saturating_sub(bytes));
        let _ = self.done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Tells how far it is in any case: at the end.
    pub fn finish(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell(&mut told, Instant::now());
    }

    fn tell(&self, told: &mut Told, now: Instant) {
        let done = self.done.load(Ordering::Relaxed);
        told.last = Some(now);
        told.window.push_back((now, done));
        while told.window.len() > 2 && now.duration_since(told.window[0].0) > WINDOW {
            told.window.pop_front();
        }
        let (since, before) = told.window[0];
        let seconds = now.duration_since(since).as_secs_f64();
        let rate = Some(done.saturating_sub(before) as f64 / seconds).filter(|rate| seconds > 0.2 && *rate > 0.0);
        let left = self.total.saturating_sub(done) as f64;
        let remaining = rate.and_then(|rate| Duration::try_from_secs_f64(left / rate).ok());
        let (stage, what, total) = (self.stage, self.what.clone(), self.total);
        (self.monitor.report)(&Progress { stage, what, done, total, rate, remaining });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_steps_at_once_are_told_a_few_times() {
        let told = Mutex::new(Vec::new());
        let report = |progress: &Progress| told.lock().unwrap().push(progress.done);
        let meter = Meter::new(Monitor::new(&report, &|| false), Stage::Importing, "a", 24, 1024);
        let started = Instant::now();
        for _ in 0..1000 {
            meter.add(1).unwrap();
        }
        meter.finish();
        let most = 2 + started.elapsed().as_millis() / INTERVAL.as_millis();
        let told = told.into_inner().unwrap();
        assert!((told.len() as u128) <= most, "{} times", told.len());
        assert_eq!(told.last(), Some(&1024));
    }

    #[test]
    fn who_breaks_it_off_is_obeyed_at_the_next_step() {
        let meter = Meter::new(Monitor::new(&|_| {}, &|| true), Stage::Importing, "a", 0, 1);
        assert_eq!(meter.add(1).unwrap_err().kind(), StoreErrorKind::Cancelled);
    }
}
