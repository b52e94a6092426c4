//! How long synchronous calls may compute.

use std::time::Duration;

use cpu_time::ThreadTime;
use wasmtime::UpdateDeadline;

use crate::ticker::{Activity, TICK, epochs};

/// The compute time of one call. Epochs count time on the clock, and a thread that waits, for the device or for its
/// turn on a busy machine, computes nothing: so the first half of the time is counted on the clock, which costs a call
/// nothing, and whoever outlasts it has the second half counted on the thread's own processor clock. What the host does
/// within the first half is free, then, however long: where that matters, all is counted on that clock.
pub(crate) struct Deadline {
    allowed: Duration,
    /// The thread's processor time where its clock took over.
    from: Option<Duration>,
    /// What was left of the time then.
    left: Duration,
}

impl Deadline {
    /// Nothing is allowed before [`Deadline::start`].
    pub(crate) fn new() -> Self {
        Self { allowed: Duration::ZERO, from: None, left: Duration::ZERO }
    }

    /// A call begins; returns how many epochs are to pass before [`Deadline::reached`]. The one under way counts for
    /// nothing.
    pub(crate) fn start(&mut self, allowed: Duration) -> u64 {
        (self.allowed, self.from, self.left) = (allowed, None, allowed / 2);
        epochs(allowed / 2) + 1
    }

    /// The same for a call that counts on the processor's clock from its beginning, which is asked once more for it.
    /// Called on the call's own thread.
    pub(crate) fn start_exact(&mut self, allowed: Duration) -> u64 {
        (self.allowed, self.from, self.left) = (allowed, Some(ThreadTime::now().as_duration()), allowed);
        epochs(allowed / 2) + 1
    }

    /// What the call in progress was allowed.
    pub(crate) fn allowed(&self) -> Duration {
        self.allowed
    }

    /// The epochs have passed: whether the call goes on. Called on the call's own thread.
    pub(crate) fn reached(&mut self) -> UpdateDeadline {
        let now = ThreadTime::now().as_duration();
        let computed = now.saturating_sub(*self.from.get_or_insert(now));
        if computed + TICK / 2 > self.left {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(epochs(self.left - computed))
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
        compute(Duration::from_millis(10));
        assert!(matches!(deadline.reached(), UpdateDeadline::Interrupt));
    }

    #[test]
    fn what_the_host_computes_in_the_first_half_is_free_but_for_calls_that_are_counted_exactly() {
        let mut deadline = Deadline::new();
        deadline.start(Duration::from_millis(20));
        compute(Duration::from_millis(20));
        assert!(matches!(deadline.reached(), UpdateDeadline::Continue(2)));
        assert_eq!(deadline.start_exact(Duration::from_millis(20)), 3);
        assert!(matches!(deadline.reached(), UpdateDeadline::Continue(_)));
        compute(Duration::from_millis(20));
        assert!(matches!(deadline.reached(), UpdateDeadline::Interrupt));
    }

    fn compute(time: Duration) {
        let start = ThreadTime::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
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
