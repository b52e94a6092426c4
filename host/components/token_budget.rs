//! How many tokens a minute a session's generations may take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{ComponentError, ComponentErrorKind};

/// A session's tokens a minute: a bucket that holds those of one minute and fills steadily. What a generation may
/// write is taken out as it begins; at its end what it did not write is put back, and what it read of its prompt,
/// the cached part left out, is taken out too, so that the bucket may hold less than nothing. Clones are the same.
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
    tokens: usize,
}

impl TokenBudget {
    /// Another limit. The same one as before changes nothing.
    pub(crate) fn set_limit(&self, limit: Option<u32>, now: Instant) {
        let mut bucket = self.lock();
        if bucket.as_ref().map(|bucket| bucket.limit) != limit {
            *bucket = limit.map(|limit| Bucket { limit, left: limit.into(), filled: now });
        }
    }

    /// Takes out what a generation of at most `wanted` tokens may write: these, or those of a whole minute.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Denied`] says when there will be as many.
    pub(crate) fn reserve(&self, wanted: usize, now: Instant) -> Result<Option<Reservation>, ComponentError> {
        let mut bucket = self.lock();
        let Some(bucket) = bucket.as_mut() else { return Ok(None) };
        bucket.fill(now);
        let tokens = wanted.min(bucket.limit as usize);
        let missing = tokens as f64 - bucket.left;
        if missing > 0.0 {
            let seconds = (missing / bucket.a_second()).ceil();
            let message = format!(
                "the {} tokens a minute that the session may use are spent: {tokens} are there again in {seconds} s",
                bucket.limit
            );
            return Err(ComponentError::new(ComponentErrorKind::Denied, "", message));
        }
        bucket.left -= tokens as f64;
        Ok(Some(Reservation { budget: self.clone(), tokens }))
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
        self.tokens
    }

    /// The generation is at its end and took so many tokens, those it read among them.
    pub(crate) fn settle(self, taken: usize) {
        if let Some(bucket) = self.budget.lock().as_mut() {
            bucket.left += self.tokens as f64 - taken as f64;
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
        assert!(budget.reserve(usize::MAX, Instant::now()).unwrap().is_none());
    }

    #[test]
    fn what_is_spent_comes_back_in_a_minute() {
        let (budget, now) = budget(60);
        let reserve = |wanted, seconds| budget.reserve(wanted, now + Duration::from_secs(seconds));
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
        let reservation = budget.reserve(1000, now).unwrap().unwrap();
        assert_eq!(reservation.tokens(), 60);
        assert!(budget.reserve(1, now).is_err(), "two at once do not take the same tokens");
        reservation.settle(10);
        budget.reserve(50, now).unwrap().unwrap().settle(110);
        assert!(budget.reserve(1, now).unwrap_err().to_string().contains("again in 61 s"));
    }

    #[test]
    fn the_same_limit_again_refills_nothing() {
        let (budget, now) = budget(60);
        drop(budget.reserve(60, now).unwrap());
        budget.set_limit(Some(60), now);
        assert!(budget.reserve(1, now).is_err(), "a generation that was dropped gives nothing back");
    }
}
