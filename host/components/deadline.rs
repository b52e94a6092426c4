//! How long synchronous calls may compute.

use std::time::Duration;

use cpu_time::ThreadTime;
use wasmtime::UpdateDeadline;

use crate::ticker::{Activity, TICK, epochs};

/// The compute time of one call. Epochs count time on the clock, and a thread that waits, for the device or for its
/// turn on a busy machine, computes nothing: so the first half of the time is counted on the clock, which costs a call
/// nothing, and whoever outlasts it has the second half counted on the thread's own processor clock.
///
/// What the host does in the first half is free, however long it takes. To count all on the processor's clock would
/// stop honest calls: on a virtual machine that is kept waiting by others that clock goes on. So what the host does in a
/// step is bounded by itself.
pub(crate) struct Deadline {
    allowed: Duration,
    /// The thread's processor time when the first half was over.
    half_time: Option<Duration>,
}

impl Deadline {
    /// Nothing is allowed before [`Deadline::start`].
    pub(crate) fn new() -> Self {
        Self { allowed: Duration::ZERO, half_time: None }
    }

    /// A call begins; returns how many epochs are to pass before [`Deadline::reached`]. The one under way counts for
    /// nothing.
    pub(crate) fn start(&mut self, allowed: Duration) -> u64 {
        self.allowed = allowed;
        self.half_time = None;
        epochs(allowed / 2) + 1
    }

    /// What the call in progress was allowed.
    pub(crate) fn allowed(&self) -> Duration {
        self.allowed
    }

    /// The epochs have passed: whether the call goes on. Called on the call's own thread.
    pub(crate) fn reached(&mut self) -> UpdateDeadline {
        let (half, now) = (self.allowed / 2, ThreadTime::now().as_duration());
        let Some(half_time) = self.half_time else {
            self.half_time = Some(now);
            return UpdateDeadline::Continue(epochs(half));
        };
        let computed = now.saturating_sub(half_time);
        if computed + TICK / 2 > half {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(epochs(half - computed))
        }
    }
}

/// The compute time of many short calls together, in epochs of the clock.
pub(crate) struct Sum {
    activity: Activity,
    limit: Duration,
    began: u64,
    spent: u64,
}

impl Sum {
    /// None of `limit` is spent.
    pub(crate) fn new(activity: Activity, limit: Duration) -> Self {
        Self { activity, limit, began: 0, spent: 0 }
    }

    /// The limit, where it is spent.
    pub(crate) fn exhausted(&self) -> Option<Duration> {
        let spent = TICK.saturating_mul(u32::try_from(self.spent).unwrap_or(u32::MAX));
        (spent > self.limit).then_some(self.limit)
    }

    /// The guest computes from here on.
    pub(crate) fn resume(&mut self) {
        self.began = self.activity.epochs();
    }

    /// It computes no more.
    pub(crate) fn pause(&mut self) {
        self.spent += self.activity.epochs() - self.began;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticker::Ticker;

    #[test]
    fn waiting_is_not_computing() {
        let mut deadline = Deadline::new();
        assert_eq!(deadline.start(Duration::from_millis(20)), 3);
        // However much time has passed on the clock, the thread has computed for far less than half of it.
        for _ in 0..100 {
            assert!(matches!(deadline.reached(), UpdateDeadline::Continue(_)));
        }
        let start = ThreadTime::now();
        while start.elapsed() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        assert!(matches!(deadline.reached(), UpdateDeadline::Interrupt));
    }

    #[test]
    fn calls_add_up_and_pauses_do_not() {
        let ticker = Ticker::start().unwrap();
        let mut sum = Sum::new(ticker.activity(), 3 * TICK);
        let pass = |sum: &Sum, epochs: u64| {
            let from = sum.activity.epochs();
            while sum.activity.epochs() < from + epochs {
                std::thread::yield_now();
            }
        };
        sum.resume();
        sum.pause();
        pass(&sum, 5);
        assert_eq!(sum.exhausted(), None);
        for _ in 0..2 {
            sum.resume();
            pass(&sum, 2);
            sum.pause();
        }
        assert_eq!(sum.exhausted(), Some(3 * TICK));
    }
}
