//! When to ask again: what may go better the next time, and how long to wait for it.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use crate::{StoreError, StoreErrorKind};

/// How long a hub is waited for, and how often it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, its TLS included: 10 s.
    pub connect: Duration,
    /// Between two pieces of an answer: 30 s. An answer that brings less than a kilobyte a second for so long counts
    /// as silence too.
    pub idle: Duration,
    /// For a whole answer that is no file: 60 s.
    pub metadata: Duration,
    /// Requests for one thing in all, where those before failed in a way that may pass: 5.
    pub attempts: u32,
    /// Before the second request: 0.5 s, doubled for each further one, and up to as much again by chance.
    pub backoff: Duration,
    /// The longest that a server may have us wait by `Retry-After` or `RateLimit`: 2 min. Where it asks for more it is
    /// an error that says so.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            metadata: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It would not go better.
    Final(StoreError),
    /// It may, after so long where the server said.
    Passing(StoreError, Option<Duration>),
}

impl Failure {
    pub(crate) fn passing(message: impl std::fmt::Display) -> Self {
        Self::Passing(StoreError::new(StoreErrorKind::Unreachable, message), None)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    patience: &'a Patience,
    attempts: u32,
    failed: u32,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(patience: &'a Patience, attempts: u32) -> Self {
        Self { patience, attempts, failed: 0 }
    }

    /// What was failing goes on: earlier failures count no more.
    pub(crate) fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// Waits until it is worth asking again.
    ///
    /// # Errors
    /// The failure's own error, where it is not.
    pub(crate) async fn pause(&mut self, failure: Failure) -> Result<(), StoreError> {
        let (error, asked) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(error, asked) => (error, asked),
        };
        self.failed += 1;
        if self.failed >= self.attempts || asked.is_some_and(|wait| wait > self.patience.longest_wait) {
            return Err(error);
        }
        let backoff = self.patience.backoff * 2u32.saturating_pow((self.failed - 1).min(5));
        // A crowd that was turned away together does not come back together.
        let wait = asked.unwrap_or_default().max(backoff) + backoff.mul_f64(chance());
        tracing::info!("{error}; asking again in {:.1} s", wait.as_secs_f64());
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// A number from 0 to 1, another each time.
fn chance() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1u64 << 53) as f64
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text.trim()).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// When more is given by `RateLimit` (the IETF's draft of RateLimit header fields): the `t` of `"api";r=0;t=55`, the
/// longest of several.
pub(super) fn rate_limit(text: &str) -> Option<Duration> {
    let seconds = text.split([',', ';']).filter_map(|parameter| parameter.trim().strip_prefix("t=")?.parse().ok());
    seconds.max().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_when_to_ask_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        // The example of RFC 9110 is 784,111,777 s after 1970.
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Thu, 29 Feb 1996 00:00:00 GMT", now).map(|wait| wait.as_secs()), Some(41_440_230));
        assert_eq!(retry_after("Fri, 01 Jan 1993 00:00:00 GMT", now), Some(Duration::ZERO));
        let limits = [r#""api";r=0;t=55"#, r#""api";r=0;t=5, "resolvers"; r=1; t=55"#, r#""api";r=0"#, "t=x"];
        assert_eq!(limits.map(|text| rate_limit(text).map(|wait| wait.as_secs())), [Some(55), Some(55), None, None]);
        for text in ["", "-1", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Nov 1994 08:49:37 GMT", "a b c d e f"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }
}
