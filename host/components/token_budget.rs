//! How many tokens a minute a session's generations may take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{ComponentError, ComponentErrorKind};

/// A session's tokens a minute: a bucket that holds those of one minute and fills steadily. What a generation may
/// write is taken out as it begins, and what it is to read of its prompt besides, the cached part left out, so that the
/// bucket may hold less than nothing. At its end what it took less is put back. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenBudget(Arc<Mutex<Option<Bucket>>>);

#[derive(Debug)]
struct Bucket {
    limit: u32,
    left: f64,
    filled: Instant,
}

/// What a generation took out. One that is dropped before its end gives nothing back.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: TokenBudget,
    written: usize,
    read: usize,
}

impl TokenBudget {
    /// Another limit. What is left under the one before is left under this one too, as far as a minute has as much.
    pub(crate) fn set_limit(&self, limit: Option<u32>, now: Instant) {
        let mut bucket = self.lock();
        *bucket = limit.map(|limit| {
            let left = bucket.as_mut().map_or(limit.into(), |before| {
                before.fill(now);
                before.left.min(limit.into())
            });
            Bucket { limit, left, filled: now }
        });
    }

    /// Takes out what a generation of at most `wanted` tokens may write, these or those of a whole minute, and the
    /// `unread` ones of its prompt.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Denied`] says when there will be as many as it may write.
    pub(crate) fn reserve(
        &self,
        wanted: usize,
        unread: usize,
        now: Instant,
    ) -> Result<Option<Reservation>, ComponentError> {
        let mut bucket = self.lock();
        let Some(bucket) = bucket.as_mut() else { return Ok(None) };
        bucket.fill(now);
        let written = wanted.min(bucket.limit as usize);
        let missing = written as f64 - bucket.left;
        if missing > 0.0 {
            let seconds = (missing / bucket.a_second()).ceil();
            let message = format!(
                "the {} tokens a minute that the session may use are spent: {written} are there again in {seconds} s",
                bucket.limit
            );
            return Err(ComponentError::new(ComponentErrorKind::Denied, "", message));
        }
        bucket.left -= (written + unread) as f64;
        Ok(Some(Reservation { budget: self.clone(), written, read: unread }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bucket>> {
        // Each use leaves a whole bucket behind, even where it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn a_second(&self) -> f64 {
        f64::from(self.limit) / Duration::from_secs(60).as_secs_f64()
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.a_second()).min(self.limit.into());
        self.filled = now;
    }
}

impl Reservation {
    /// The most tokens that the generation may write.
    pub(crate) fn tokens(&self) -> usize {
        self.written
    }

    /// The generation is at its end and took so many tokens, those it read among them.
    pub(crate) fn settle(self, taken: usize) {
        if let Some(bucket) = self.budget.lock().as_mut() {
            bucket.left += (self.written + self.read) as f64 - taken as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: u32) -> (TokenBudget, Instant) {
        let (budget, now) = (TokenBudget::default(), Instant::now());
        budget.set_limit(Some(limit), now);
        (budget, now)
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let budget = TokenBudget::default();
        assert!(budget.reserve(usize::MAX, 9, Instant::now()).unwrap().is_none());
    }

    #[test]
    fn what_is_spent_comes_back_in_a_minute() {
        let (budget, now) = budget(60);
        let reserve = |wanted, seconds| budget.reserve(wanted, 0, now + Duration::from_secs(seconds));
        reserve(40, 0).unwrap().unwrap().settle(40);
        let error = reserve(40, 0).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::Denied);
        let expected = "the 60 tokens a minute that the session may use are spent: 40 are there again in 20 s";
        assert_eq!(error.to_string(), expected);
        assert!(reserve(40, 19).is_err());
        reserve(40, 20).unwrap().unwrap().settle(40);
        // A long silence saves up no more than a minute's.
        reserve(60, 3600).unwrap().unwrap().settle(60);
        assert!(reserve(1, 3600).is_err());
    }

    #[test]
    fn what_was_not_written_is_given_back_and_what_was_read_is_charged() {
        let (budget, now) = budget(60);
        let reservation = budget.reserve(1000, 0, now).unwrap().unwrap();
        assert_eq!(reservation.tokens(), 60);
        assert!(budget.reserve(1, 0, now).is_err(), "two at once do not take the same tokens");
        reservation.settle(10);
        // It reads more than was known as it began.
        budget.reserve(50, 20, now).unwrap().unwrap().settle(110);
        assert!(budget.reserve(1, 0, now).unwrap_err().to_string().contains("again in 61 s"));
    }

    #[test]
    fn a_generation_that_is_dropped_gives_nothing_back_of_what_it_was_to_read() {
        let (budget, now) = budget(60);
        drop(budget.reserve(10, 110, now).unwrap());
        assert!(budget.reserve(1, 0, now).unwrap_err().to_string().contains("again in 61 s"));
    }

    #[test]
    fn another_limit_refills_nothing() {
        let (budget, now) = budget(60);
        drop(budget.reserve(50, 0, now).unwrap());
        let left_under = |limit, seconds| {
            budget.set_limit(Some(limit), now + Duration::from_secs(seconds));
            budget.lock().as_ref().map(|bucket| bucket.left)
        };
        assert_eq!(left_under(60, 0), Some(10.0));
        assert_eq!(left_under(600, 0), Some(10.0));
        assert_eq!(left_under(4, 0), Some(4.0));
        assert_eq!(left_under(60, 0), Some(4.0));
        assert_eq!(left_under(600, 6), Some(10.0), "the six seconds were under the limit before");
    }
}
