//! A grammar following one text, token by token.

use std::fmt::Display;
use std::time::{Duration, Instant};

use llguidance::Matcher;

use super::compile::failed;
use super::watch::{OPERATION_TIME, Watch};
use crate::error::{TextError, TextErrorKind};
use crate::tokenizer::Tokenizer;

/// How long an operation may take on average. Each token is two: it is taken, and the next ones are found.
const AVERAGE_TIME: Duration = Duration::from_millis(10);

/// Where a text stands in its grammar: which tokens may come next, and back again.
pub struct GrammarMatcher {
    matcher: Matcher,
    watch: Watch,
    /// How many operations there were, and how long they took.
    operations: u32,
    spent: Duration,
    /// The virtual token that llguidance takes for the end.
    end: u32,
    /// What comes before the grammar.
    free: Option<Free>,
    /// How many tokens the grammar has taken.
    taken: usize,
}

/// A beginning that may be anything, up to a marker.
pub(super) struct Free {
    tokenizer: Tokenizer,
    marker: Vec<u8>,
    bytes: Vec<u8>,
    /// Where the bytes of each of its tokens end.
    ends: Vec<usize>,
    /// Whether the marker is there, in the last of the tokens.
    over: bool,
}

impl GrammarMatcher {
    pub(super) fn new(matcher: Matcher, end: u32, free: Option<Free>) -> Result<Self, TextError> {
        let watch = Watch::new(matcher.cancellation_handle().unwrap_or_default())?;
        Ok(Self { matcher, watch, operations: 0, spent: Duration::ZERO, end, free, taken: 0 })
    }

    /// The tokens that may come next: that of token `t` is bit `t % 32` of word `t / 32`. Tokens beyond the words may
    /// not. Whether the text may end is not among them: see [`GrammarMatcher::is_accepting`]. No bit is set where the
    /// text is complete.
    ///
    /// # Errors
    /// [`TextErrorKind::GrammarTooComplex`](crate::TextErrorKind::GrammarTooComplex) where finding them is too much
    /// work, and [`TextErrorKind::GrammarInvalid`](crate::TextErrorKind::GrammarInvalid) where no token of the model
    /// leads on from here; either is final.
    pub fn mask(&mut self) -> Result<Vec<u32>, TextError> {
        let words = (self.end as usize).div_ceil(32);
        if !self.has_begun() {
            return Ok(vec![u32::MAX; words]);
        }
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            return Ok(vec![0; words]);
        }
        let mask = self.operate(|matcher| matcher.compute_mask())?;
        let mut mask: Vec<u32> = mask.into();
        if let Some(word) = mask.get_mut(self.end as usize / 32) {
            *word &= !(1 << (self.end % 32));
        }
        mask.truncate(words);
        Ok(mask)
    }

    /// Takes the next token, unless it may not come next: then it says false, and nothing has changed.
    ///
    /// # Errors
    /// As [`GrammarMatcher::mask`].
    pub fn accept(&mut self, token: u32) -> Result<bool, TextError> {
        if let Some(free) = self.free.as_mut().filter(|free| !free.over) {
            free.push(token);
            return Ok(true);
        }
        if token >= self.end {
            return Ok(false);
        }
        let taken = self.operate(|matcher| matcher.try_consume_tokens(&[token]))?;
        self.taken += taken;
        Ok(taken == 1)
    }

    /// Goes back by so many tokens; more than were taken goes back to the beginning.
    ///
    /// # Errors
    /// As [`GrammarMatcher::mask`], where it failed before.
    pub fn rewind(&mut self, count: usize) -> Result<(), TextError> {
        let own = count.min(self.taken);
        self.operate(|matcher| matcher.rollback(own))?;
        self.taken -= own;
        if let Some(free) = self.free.as_mut().filter(|_| count > own) {
            free.pop(count - own);
        }
        Ok(())
    }

    /// Whether the text may end here.
    ///
    /// # Errors
    /// As [`GrammarMatcher::mask`], where it failed before.
    pub fn is_accepting(&mut self) -> Result<bool, TextError> {
        if !self.has_begun() {
            return Ok(false);
        }
        self.operate(Matcher::is_accepting)
    }

    /// Whether the text must end here: it is whole, and nothing may follow.
    pub fn is_complete(&self) -> bool {
        self.has_begun() && !self.matcher.is_error() && self.matcher.is_stopped()
    }

    /// Whether the grammar holds: no more before it that may be anything.
    pub fn has_begun(&self) -> bool {
        self.free.as_ref().is_none_or(|free| free.over)
    }

    /// Does something that takes a while.
    fn operate<T, E: Display>(&mut self, operation: impl FnOnce(&mut Matcher) -> Result<T, E>) -> Result<T, TextError> {
        self.operations = self.operations.saturating_add(1);
        let started = Instant::now();
        let done = self.watch.operation(|| operation(&mut self.matcher));
        self.spent += started.elapsed();
        let done = done.map_err(|error| failed("grammar", &error.to_string()))?;
        if self.spent > OPERATION_TIME + AVERAGE_TIME * self.operations {
            let message = format!(
                "the grammar is too complex to find the tokens that may come next: it has taken {} ms for {} steps",
                self.spent.as_millis(),
                self.operations,
            );
            return Err(TextError::new(TextErrorKind::GrammarTooComplex, message));
        }
        Ok(done)
    }
}

impl Free {
    pub(super) fn new(tokenizer: &Tokenizer, marker: &str) -> Self {
        let marker = marker.as_bytes().to_vec();
        Self { tokenizer: tokenizer.clone(), over: marker.is_empty(), marker, bytes: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, token: u32) {
        // The marker ends in this token or not at all, since it did not before.
        let start = self.bytes.len().saturating_sub(self.marker.len() - 1);
        self.bytes.extend(self.tokenizer.token_bytes(token).unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.over = self.bytes[start..].windows(self.marker.len()).any(|window| window == self.marker);
    }

    /// Takes back the newest tokens.
    fn pop(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.ends.truncate(self.ends.len().saturating_sub(count));
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.over = false;
    }
}
