//! From tokens to what the reader is given: text, stop strings, and what is withheld.

use std::collections::VecDeque;

use wasmlx_text::{Detokenizer, StopMatcher, TextError};

use crate::event::{Event, TokenLogprobs};

/// The newest tokens of an answer on their way to the reader.
///
/// A token leaves when it can no longer be dropped and when all text up to it is settled: no half character and no
/// beginning of a stop string is held back. So held text always belongs to a token that is still here, which is the
/// one that carries it if the answer ends, and what was given out is never taken back.
pub(crate) struct Output {
    /// None for a model without a tokenizer, whose answers have no text.
    text: Option<TextState>,
    /// How many of the newest tokens may still be dropped.
    withheld: usize,
    waiting: VecDeque<Waiting>,
}

struct TextState {
    detokenizer: Detokenizer,
    stops: StopState,
}

/// Small, so that one can be kept for each token that may be dropped.
#[derive(Clone)]
struct StopState {
    matcher: StopMatcher,
    /// Bytes that it holds back.
    held: usize,
}

struct Waiting {
    id: u32,
    text: String,
    logprobs: Option<TokenLogprobs>,
    settled: bool,
    /// The state before this token, where it may be dropped.
    before: Option<StopState>,
}

impl Output {
    pub(crate) fn new(text: Option<(Detokenizer, StopMatcher)>, withheld: usize) -> Self {
        let text = text.map(|(detokenizer, matcher)| TextState { detokenizer, stops: StopState { matcher, held: 0 } });
        Self { text, withheld, waiting: VecDeque::new() }
    }

    /// Takes the next token. Says whether a stop string ends the answer with it.
    pub(crate) fn push(&mut self, id: u32, logprobs: Option<TokenLogprobs>) -> Result<bool, TextError> {
        let before = self.text.as_ref().filter(|_| self.withheld > 0).map(|text| text.stops.clone());
        let mut waiting = Waiting { id, text: String::new(), logprobs, settled: true, before };
        let mut stopped = false;
        if let Some(state) = &mut self.text {
            (waiting.text, stopped) = state.read(id)?;
            waiting.settled = !stopped && state.is_settled();
        }
        self.waiting.push_back(waiting);
        Ok(stopped)
    }

    /// Takes the end token, which has no text.
    pub(crate) fn push_end(&mut self, id: u32, logprobs: Option<TokenLogprobs>) -> Result<(), TextError> {
        self.flush()?;
        self.text = None;
        self.push(id, logprobs).map(|_| ())
    }

    /// How many tokens can still be dropped.
    pub(crate) fn droppable(&self) -> usize {
        self.waiting.len().min(self.withheld)
    }

    /// Drops the newest tokens, at most [`Output::droppable`].
    pub(crate) fn drop_newest(&mut self, count: usize) -> Result<(), TextError> {
        let kept = self.waiting.len().saturating_sub(count);
        let oldest = self.waiting.drain(kept..).next();
        if let (Some(text), Some(before)) = (&mut self.text, oldest.and_then(|waiting| waiting.before)) {
            text.detokenizer.truncate(text.detokenizer.len().saturating_sub(count))?;
            text.stops = before;
        }
        Ok(())
    }

    /// The next token that may leave now.
    pub(crate) fn next_ready(&mut self) -> Option<Event> {
        let free = self.waiting.len().saturating_sub(self.withheld);
        self.waiting.iter().take(free).any(|waiting| waiting.settled).then(|| self.next()).flatten()
    }

    /// Ends the text: from now on [`Output::next`] gives all that waits.
    pub(crate) fn flush(&mut self) -> Result<(), TextError> {
        if let Some(mut state) = self.text.take() {
            let tail = state.finish()?;
            match self.waiting.back_mut() {
                Some(last) => last.text.push_str(&tail),
                None => debug_assert!(tail.is_empty(), "the text {tail:?} belongs to no token"),
            }
        }
        Ok(())
    }

    /// The next token, ready or not.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Waiting { id, text, logprobs, .. } = self.waiting.pop_front()?;
        Some(Event::Token { id, text, logprobs })
    }
}

impl TextState {
    /// The text that may be shown after one more token, and whether a stop string cut it.
    fn read(&mut self, id: u32) -> Result<(String, bool), TextError> {
        let text = self.detokenizer.push(id)?;
        let emit = self.stops.matcher.push(text);
        self.stops.held = (self.stops.held + text.len()).saturating_sub(emit.text.len());
        Ok((emit.text, emit.stopped.is_some()))
    }

    fn is_settled(&self) -> bool {
        self.stops.held == 0 && self.detokenizer.is_settled()
    }

    /// The text that was held back, now that nothing follows.
    fn finish(&mut self) -> Result<String, TextError> {
        let mut shown = self.stops.matcher.push(self.detokenizer.finish()?).text;
        shown.push_str(&self.stops.matcher.finish());
        Ok(shown)
    }
}
