//! What guests log: bounded, made plain, and written by a thread of its own, so that a policy that logs never has the
//! device wait for a terminal or a disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::dispatcher::{self, Dispatch};

use crate::{Component, plain};

/// The target of guests' events: `RUST_LOG=wasmlx_guest=debug` shows them alone.
const TARGET: &str = "wasmlx_guest";

/// The most bytes of a line that are kept.
const BYTES_PER_LINE: usize = 2 << 10;

/// The most bytes of a component's name that stand before its lines.
const BYTES_PER_NAME: usize = 100;

/// How many lines may wait for the thread that writes them.
const WAITING: usize = 256;

/// What a guest may log: in one second, and from its instance's or session's beginning to its end.
const PER_SECOND: Allowance = Allowance { lines: 100, bytes: 64 << 10 };
const IN_ALL: Allowance = Allowance { lines: 10_000, bytes: 4 << 20 };

/// How much a line matters, as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Runs a macro of `tracing`'s for a level that is known at run time: theirs are constants of the place they stand in.
macro_rules! at_level {
    ($level:expr, $constant:ident => $run:expr) => {
        match $level {
            Level::Trace => at_level!(@ TRACE, $constant => $run),
            Level::Debug => at_level!(@ DEBUG, $constant => $run),
            Level::Info => at_level!(@ INFO, $constant => $run),
            Level::Warn => at_level!(@ WARN, $constant => $run),
            Level::Error => at_level!(@ ERROR, $constant => $run),
        }
    };
    (@ $value:ident, $constant:ident => $run:expr) => {{
        const $constant: tracing::Level = tracing::Level::$value;
        $run
    }};
}

/// The log of one policy's instance or one chat's session. Clones are the same log, so its bounds hold over the
/// instances of a session.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Shared>);

struct Shared {
    component: Component,
    spent: Mutex<Spent>,
}

struct Allowance {
    lines: u64,
    bytes: u64,
}

/// What a log has taken.
struct Spent {
    second: Instant,
    in_second: Allowance,
    in_all: Allowance,
    dropped: u64,
}

impl GuestLog {
    /// The log of a component's next instance or session.
    pub(crate) fn new(component: &Component) -> Self {
        let nothing = || Allowance { lines: 0, bytes: 0 };
        let spent = Spent { second: Instant::now(), in_second: nothing(), in_all: nothing(), dropped: 0 };
        Self(Arc::new(Shared { component: component.clone(), spent: Mutex::new(spent) }))
    }

    /// Whether a line of this level is to be looked at. Where nobody listens, that is all a line costs.
    pub(crate) fn wants(&self, level: Level) -> bool {
        at_level!(level, LEVEL => tracing::enabled!(target: TARGET, LEVEL)) && self.has_room()
    }

    /// Takes a line. Never blocks.
    pub(crate) fn write(&self, level: Level, text: &str) {
        let bytes = text.len() as u64;
        {
            let spent = &mut *self.spent();
            spent.in_second.add(bytes);
            spent.in_all.add(bytes);
        }
        self.send(level, plain::line(text, BYTES_PER_LINE));
    }

    /// Whether a line is within bounds; one that is not is counted, and the first such is told of.
    fn has_room(&self) -> bool {
        let now = Instant::now();
        let mut spent = self.spent();
        if now.duration_since(spent.second) >= Duration::from_secs(1) {
            spent.second = now;
            spent.in_second = Allowance { lines: 0, bytes: 0 };
        }
        if spent.in_second.is_within(&PER_SECOND) && spent.in_all.is_within(&IN_ALL) {
            return true;
        }
        spent.dropped += 1;
        let is_first = spent.dropped == 1;
        drop(spent);
        if is_first {
            let (second, all) = (PER_SECOND, IN_ALL);
            let text = format!(
                "it logs more than {} lines or {} KiB in a second, or {} lines or {} MiB in all: lines are dropped",
                second.lines,
                second.bytes >> 10,
                all.lines,
                all.bytes >> 20
            );
            self.send(Level::Warn, text);
        }
        false
    }

    fn send(&self, level: Level, text: String) {
        self.0.send(level, text);
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        // Counters are whole after a panic too.
        self.0.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance {
    /// Counts a line.
    fn add(&mut self, bytes: u64) {
        self.lines += 1;
        self.bytes += bytes;
    }

    fn is_within(&self, limit: &Self) -> bool {
        self.lines < limit.lines && self.bytes < limit.bytes
    }
}

impl Shared {
    /// Hands a line to the thread that writes. A line that finds the queue full is dropped: the log's reader is slower
    /// than its writers, and they must not wait.
    fn send(&self, level: Level, text: String) {
        let dispatch = dispatcher::get_default(Dispatch::clone);
        // The line holds no component, and so no runtime, whose last holder waits for the thread that has the line.
        let component = plain::line(self.component.name(), BYTES_PER_NAME);
        let digest = self.component.short_digest().to_owned();
        let line = Line { level, component, digest, text, dispatch };
        let writer = self.component.runtime().log_writer();
        if let Err(TrySendError::Full(_)) = writer.try_send(Entry::Line(line)) {
            self.spent.lock().unwrap_or_else(PoisonError::into_inner).dropped += 1;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let dropped = self.spent.get_mut().unwrap_or_else(PoisonError::into_inner).dropped;
        if dropped > 0 {
            self.send(Level::Warn, format!("{dropped} lines of its log were dropped"));
        }
    }
}

/// The thread that writes guests' lines, started at the first one. It ends, after what it was given, with this value.
#[derive(Default)]
pub(crate) struct LogWriter(OnceLock<(SyncSender<Entry>, Option<JoinHandle<()>>)>);

pub(crate) enum Entry {
    Line(Line),
    End,
}

/// A line on its way, with the subscriber of whoever logged it.
pub(crate) struct Line {
    level: Level,
    component: String,
    digest: String,
    text: String,
    dispatch: Dispatch,
}

impl LogWriter {
    /// What takes lines. Where no thread can be started they go nowhere.
    pub(crate) fn sender(&self) -> SyncSender<Entry> {
        let (sender, _) = self.0.get_or_init(|| {
            let (sender, lines) = sync_channel(WAITING);
            let thread = std::thread::Builder::new().name("wasmlx-guest-log".to_owned()).spawn(|| write(lines));
            (sender, thread.inspect_err(|error| tracing::warn!("components cannot log: {error}")).ok())
        });
        sender.clone()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if let Some((sender, Some(thread))) = self.0.take() {
            // It fails where the thread is gone, and then there is nothing to wait for.
            let _ = sender.send(Entry::End);
            let _ = thread.join();
        }
    }
}

fn write(lines: Receiver<Entry>) {
    while let Ok(Entry::Line(Line { level, component, digest, text, dispatch })) = lines.recv() {
        dispatcher::with_default(&dispatch, || {
            at_level!(level, LEVEL => tracing::event!(target: TARGET, LEVEL, %component, %digest, "{text}"));
        });
    }
}
