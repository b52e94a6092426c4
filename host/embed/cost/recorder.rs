//! Watching the calls across the boundary of the thread that makes them: their time, and the calls of the host within.
//!
//! Each call into a component is a span of target `wasmlx_boundary`, and each call that a component makes of the host is
//! one by the name that bindings give it; a subscriber of this thread's own sees both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// The target of the calls into components.
const CALLS: &str = "wasmlx_boundary";

/// The name of a call that a component makes of the host.
const HOST_CALL: &str = "wit-bindgen import";

/// A call into a component that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// What was called: `policy.step`.
    pub(super) function: String,
    /// How long it ran. What it waited for does not count.
    pub(super) time: Duration,
    /// How often it called the host, where that is counted.
    pub(super) host_calls: u64,
}

/// Does a piece of work, whose calls across the boundary, on this thread, it can look at. Calls of the host are counted
/// only where that is wanted, since each then takes longer.
pub(super) fn record<T>(host_calls: bool, work: impl FnOnce(&Recording) -> T) -> T {
    let recording = Recording(Arc::default());
    let dispatch = Dispatch::new(Recorder { host_calls, state: Arc::clone(&recording.0) });
    dispatcher::with_default(&dispatch, || work(&recording))
}

/// The calls of a piece of work.
pub(super) struct Recording(Arc<Mutex<State>>);

impl Recording {
    /// Those that ended since the last time, in the order of their ends.
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut lock(&self.0).done)
    }
}

struct Recorder {
    host_calls: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The number of the last span.
    last: u64,
    /// The calls under way, by their spans' numbers.
    calls: HashMap<u64, Call>,
    /// Those that this thread is in, innermost last.
    entered: Vec<u64>,
    done: Vec<Recorded>,
}

struct Call {
    recorded: Recorded,
    entered: Option<Instant>,
    handles: u32,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_host_call = metadata.name() == HOST_CALL && self.host_calls;
        metadata.is_span() && (metadata.target() == CALLS || is_host_call)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        if span.metadata().name() == HOST_CALL {
            if let Some(within) = state.entered.last().copied()
                && let Some(call) = state.calls.get_mut(&within)
            {
                call.recorded.host_calls += 1;
            }
        } else {
            let mut function = Function::default();
            span.record(&mut function);
            let recorded = Recorded { function: function.0, time: Duration::ZERO, host_calls: 0 };
            state.calls.insert(number, Call { recorded, entered: None, handles: 1 });
        }
        Id::from_u64(number)
    }

    fn enter(&self, span: &Id) {
        let mut state = lock(&self.state);
        let number = span.into_u64();
        if state.calls.contains_key(&number) {
            state.entered.push(number);
        }
        // Read last, so that nothing of this counts.
        if let Some(call) = state.calls.get_mut(&number) {
            call.entered = Some(Instant::now());
        }
    }

    fn exit(&self, span: &Id) {
        let left = Instant::now();
        let mut state = lock(&self.state);
        let number = span.into_u64();
        if let Some(call) = state.calls.get_mut(&number)
            && let Some(entered) = call.entered.take()
        {
            call.recorded.time += left - entered;
            state.entered.retain(|entered| *entered != number);
        }
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(call) = lock(&self.state).calls.get_mut(&span.into_u64()) {
            call.handles += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut state = lock(&self.state);
        let number = span.into_u64();
        let Some(call) = state.calls.get_mut(&number) else { return true };
        call.handles -= 1;
        if call.handles > 0 {
            return false;
        }
        if let Some(call) = state.calls.remove(&number) {
            state.done.push(call.recorded);
        }
        true
    }

    fn event(&self, _: &Event<'_>) {}

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

/// The field `function` of a span.
#[derive(Default)]
struct Function(String);

impl Visit for Function {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "function" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &'static str) -> tracing::Span {
        tracing::span!(target: CALLS, tracing::Level::TRACE, "call", function)
    }

    #[test]
    fn calls_are_told_with_the_calls_of_the_host_within() {
        let work = |recording: &Recording| {
            let step = call("policy.step");
            step.in_scope(|| {
                for _ in 0..3 {
                    tracing::span!(tracing::Level::TRACE, "wit-bindgen import").in_scope(|| {});
                }
            });
            // Another handle keeps a call open, as a future does.
            let kept = step.clone();
            drop(step);
            call("policy.save").in_scope(|| {});
            drop(kept);
            let told = |call: Recorded| (call.function, call.host_calls);
            recording.take().into_iter().map(told).collect::<Vec<_>>()
        };
        let [save, step] = ["policy.save", "policy.step"].map(str::to_owned);
        assert_eq!(record(true, work), [(save.clone(), 0), (step.clone(), 3)]);
        assert_eq!(record(false, work), [(save, 0), (step, 0)]);
    }
}
