//! How long a chat may compute.

use std::time::{Duration, Instant};

use wasmlx_text::GrammarAccount;

use crate::ticker::TICK;
use crate::{ComponentError, ComponentErrorKind};

/// The compute time of a chat session. While the guest computes, [`Budget::tick`] is called every epoch; while the
/// host does something for it, nothing counts.
pub(crate) struct Budget {
    slice_limit: Duration,
    session_limit: Duration,
    /// Computed since the last call of the host.
    slice: Duration,
    /// Computed since the session began.
    session: Duration,
    /// Until when it is counted; none while the host works.
    counted: Option<Instant>,
    /// After a cancellation no call of the host begins a new slice.
    last_slice: bool,
    /// The session's grammars, which are compiled elsewhere.
    grammars: GrammarAccount,
}

impl Budget {
    /// A session that has computed for `session` already.
    pub(crate) fn new(slice_limit: Duration, session_limit: Duration, session: Duration) -> Self {
        let grammars = GrammarAccount::default();
        Self { slice_limit, session_limit, slice: Duration::ZERO, session, counted: None, last_slice: false, grammars }
    }

    /// What the session has computed so far.
    pub(crate) fn session(&self) -> Duration {
        self.session
    }

    /// The host calls the guest.
    pub(crate) fn start(&mut self, now: Instant) {
        self.last_slice = false;
        self.resume(now);
    }

    /// The guest calls the host, or returns to it.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.count(now);
        self.counted = None;
    }

    /// The host returns to the guest.
    pub(crate) fn resume(&mut self, now: Instant) {
        if !self.last_slice {
            self.slice = Duration::ZERO;
        }
        self.counted = Some(now);
    }

    /// The guest calls what runs by itself, such as WASI: a new slice begins. What the guest waits there is not counted,
    /// but for the two epochs at most that [`Budget::tick`] counts after any wait.
    #[cfg(feature = "agents")]
    pub(crate) fn called(&mut self, now: Instant) {
        self.pause(now);
        self.resume(now);
    }

    /// The turn is cancelled: what is left of this slice is all that the guest has to come to an end.
    pub(crate) fn cancel(&mut self) {
        self.last_slice = true;
    }

    /// What the host compiles for the session is to be of this account.
    pub(crate) fn grammars(&self) -> &GrammarAccount {
        &self.grammars
    }

    /// The host computed for the session, where the guest waited; what compiling its grammars took is added.
    pub(crate) fn charge(&mut self, computed: Duration) {
        self.session += computed + self.grammars.take_computed();
    }

    /// An epoch of computing has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), ComponentError> {
        self.count(now);
        let over = |message: String| Err(ComponentError::new(ComponentErrorKind::Deadline, "", message));
        if self.session > self.session_limit {
            let seconds = self.session_limit.as_secs();
            return over(format!("the session has spent the {seconds} s that it may compute: begin another"));
        }
        if self.slice > self.slice_limit {
            let allowed = self.slice_limit.as_millis();
            return over(format!("it was stopped after {allowed} ms of its own compute without a call of the host"))
                .map_err(ComponentError::into_fault);
        }
        Ok(())
    }

    /// Counts what was computed since the last time. A guest that computes is counted at every epoch, so what is
    /// longer than that was spent by others: its task waited for its turn.
    fn count(&mut self, now: Instant) {
        if let Some(counted) = self.counted {
            let computed = now.saturating_duration_since(counted).min(2 * TICK);
            self.slice += computed;
            self.session += computed;
            self.counted = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3600);

    #[test]
    fn a_call_of_the_host_begins_a_new_slice_until_the_turn_is_cancelled() {
        let mut now = Instant::now();
        let mut budget = Budget::new(3 * TICK / 2, LIMIT, Duration::ZERO);
        budget.start(now);
        for _ in 0..5 {
            now += TICK;
            budget.tick(now).unwrap();
            budget.pause(now);
            budget.resume(now);
        }
        assert_eq!(budget.session(), 5 * TICK);
        budget.cancel();
        budget.resume(now);
        budget.tick(now + TICK).unwrap();
        let error = budget.tick(now + 2 * TICK).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::Deadline);
    }

    #[test]
    fn waiting_counts_for_nothing() {
        let now = Instant::now();
        let mut budget = Budget::new(TICK, LIMIT, Duration::ZERO);
        budget.start(now);
        budget.pause(now);
        budget.tick(now + LIMIT).unwrap();
        assert_eq!(budget.session(), Duration::ZERO);
        // Nor does it where the task waits for its turn on a busy machine.
        budget.resume(now + LIMIT);
        budget.pause(now + 2 * LIMIT);
        assert_eq!(budget.session(), 2 * TICK);
    }

    #[test]
    fn a_session_ends() {
        let now = Instant::now();
        let mut budget = Budget::new(LIMIT, 2 * TICK, 2 * TICK);
        budget.start(now);
        assert!(budget.tick(now + TICK).unwrap_err().to_string().contains("session"));
    }
}
