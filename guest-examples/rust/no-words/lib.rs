//! Words that never come up, however a model cuts them into tokens.
//!
//! Two things together. No token is drawn that would complete a word: so none is ever written, whatever ends the
//! answer. But to be turned away at a word's last letter leaves half of it standing, so where the model is about to
//! complete one, the policy goes back to before the word began, and has the model begin there with something else. It
//! reads the best token to know, and only where a word has begun.

mod words;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::NoWords;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(NoWords with_types_in self);
}

use std::cell::RefCell;
use std::collections::BTreeMap;

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use bindings::wasmlx::runner::vocabulary;
use serde::Deserialize;
use words::Words;

struct NoWords;

/// The parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// What must not come up, within other words too, in capitals or not.
    words: Vec<String>,
    #[serde(default = "usual_temperature")]
    temperature: f32,
}

fn usual_temperature() -> f32 {
    0.7
}

impl Guest for NoWords {
    type Policy = Request;

    fn plan(_: String) -> Result<Option<Vec<Op>>, Error> {
        Ok(None)
    }
}

/// One request's policy.
struct Request {
    words: Words,
    temperature: f32,
    answer: RefCell<Answer>,
}

/// The answer so far.
#[derive(Default)]
struct Answer {
    tokens: Vec<Vec<u8>>,
    ids: Vec<u32>,
    /// How many of them the reader may have been shown: there is no way back before these.
    shown: usize,
    /// Where a word was about to begin: by how many tokens come before, those that it began with.
    refused: BTreeMap<usize, Vec<u32>>,
}

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        let wrong = |why: String| Error::InvalidInput(format!("the parameters of no-words cannot be used: {why}"));
        let Parameters { words, temperature } =
            serde_json::from_str(&params).map_err(|error| wrong(error.to_string()))?;
        if !(0.0..=f32::MAX).contains(&temperature) {
            return Err(wrong("`temperature` must be a number of at least 0".into()));
        }
        let all: Vec<u32> = (0..vocabulary::size()).collect();
        let bytes = vocabulary::token_bytes(&all)?;
        let words = Words::new(&words, all.into_iter().zip(bytes)).map_err(wrong)?;
        Ok(Policy::new(Self { words, temperature, answer: RefCell::default() }))
    }

    /// Of a word that is about to be completed all but the last byte may be there, a token each.
    fn max_backtrack(&self) -> u32 {
        self.words.longest().saturating_sub(1) as u32
    }

    fn step(&self, info: StepInfo, logits: Logits) -> Result<Choice, Error> {
        let mut answer = self.answer.borrow_mut();
        answer.read(&info)?;
        answer.shown = answer.shown.max(answer.ids.len().saturating_sub(self.max_backtrack() as usize));
        let completing = self.words.completing(&answer.tokens);
        if let Some(begun) = self.words.begun(&answer.tokens)
            && begun >= answer.shown
        {
            let best = logits.top(1)?;
            if best.first().is_some_and(|(best, _)| completing.contains(best)) {
                let count = answer.ids.len() - begun;
                let first = answer.ids[begun];
                answer.refused.entry(begun).or_default().push(first);
                answer.cut(begun);
                return Ok(Choice::Backtrack((count as u32, Vec::new())));
            }
        }
        logits.forbid(&completing)?;
        if let Some(refused) = answer.refused.get(&answer.ids.len()) {
            logits.forbid(refused)?;
        }
        if self.temperature == 0.0 {
            return logits.argmax().map(Choice::Token);
        }
        logits.scale(1.0 / self.temperature)?;
        logits.sample().map(Choice::Token)
    }

    /// There is nothing to save: the first call of a restored instance is given the whole text.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        match saved.version {
            1 => Self::open(params),
            other => Err(Error::InvalidInput(format!("no-words reads saved states of version 1, not {other}"))),
        }
    }
}

impl Answer {
    /// Takes in the tokens that are new.
    fn read(&mut self, info: &StepInfo) -> Result<(), Error> {
        // Of the first call's tokens the prompt is part.
        let generated = info.new.len().min(info.generated as usize);
        let new = &info.new[info.new.len() - generated..];
        self.tokens.extend(vocabulary::token_bytes(new)?.into_iter().map(|bytes| bytes.to_ascii_lowercase()));
        self.ids.extend(new);
        Ok(())
    }

    /// Forgets all but the first tokens, and what was refused behind them.
    fn cut(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.ids.truncate(length);
        self.refused.retain(|&place, _| place <= length);
    }
}
