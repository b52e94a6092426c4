//! Answers that are one date, `2026-11-21`: a constraint that is all the guest's own.
//!
//! An automaton says which bytes may follow (`date.rs`), and a look at the vocabulary which tokens are made of such
//! bytes: the two hundred or so of a model's that are digits and dashes are all that a step has to try. The host's own
//! grammars do the same for any expression; the tests hold the two against each other.

mod date;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Dates;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(Dates with_types_in self);
}

use std::cell::RefCell;

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use bindings::wasmlx::runner::vocabulary;
use date::Date;

struct Dates;

impl Guest for Dates {
    type Policy = Request;

    fn plan(_: String) -> Result<Option<Vec<Op>>, Error> {
        Ok(None)
    }
}

/// One request's policy.
struct Request {
    /// The tokens that can be part of a date, with their bytes.
    tokens: Vec<(u32, Vec<u8>)>,
    date: RefCell<Date>,
}

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        if !matches!(params.trim(), "" | "{}") {
            return Err(Error::InvalidInput("dates has no parameters".into()));
        }
        let all: Vec<u32> = (0..vocabulary::size()).collect();
        let bytes = vocabulary::token_bytes(&all)?;
        let tokens = all.into_iter().zip(bytes).filter(|(_, bytes)| date::is_part(bytes)).collect();
        Ok(Policy::new(Self { tokens, date: RefCell::default() }))
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, info: StepInfo, logits: Logits) -> Result<Choice, Error> {
        let mut date = self.date.borrow_mut();
        // Of the first call's tokens the prompt is part.
        let generated = info.new.len().min(info.generated as usize);
        for token in &info.new[info.new.len() - generated..] {
            let bytes = self.tokens.iter().find(|(id, _)| id == token).map(|(_, bytes)| bytes.as_slice());
            *date = bytes.and_then(|bytes| date.after(bytes)).ok_or_else(|| {
                Error::Other(format!("the answer has the token {token}, which no date has there: somebody forced it"))
            })?;
        }
        if date.is_whole() {
            return Ok(Choice::Stop);
        }
        let allowed: Vec<u32> =
            self.tokens.iter().filter(|(_, bytes)| date.after(bytes).is_some()).map(|(id, _)| *id).collect();
        if allowed.is_empty() {
            return Err(Error::NotFound("the model has no tokens to write a date with".into()));
        }
        logits.allow(&allowed)?;
        logits.sample().map(Choice::Token)
    }

    /// What is written so far.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: self.date.borrow().written().to_vec() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        let wrong = || Error::InvalidInput("this is no saved state of dates, version 1".into());
        let date = Some(Date::default()).filter(|_| saved.version == 1).and_then(|date| date.after(&saved.bytes));
        let date = date.ok_or_else(wrong)?;
        let policy = Self::open(params)?;
        *policy.get::<Self>().date.borrow_mut() = date;
        Ok(policy)
    }
}
