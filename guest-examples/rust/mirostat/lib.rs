//! Mirostat 2.0 as a policy: it keeps the surprise of a text at a target (see `mirostat.rs`).
//!
//! It shows a policy that reads and that has a state of its own. Reading makes the device finish before it may go
//! on, so there is one read a step, and of no more tokens than can be kept.

mod mirostat;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(Component with_types_in self);
}

use std::cell::RefCell;

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use mirostat::Mirostat;

struct Component;

impl Guest for Component {
    type Policy = Request;

    fn plan(params: String) -> Result<Option<Vec<Op>>, Error> {
        // Not a plan, but what is wrong with the parameters is best said before the first token.
        mirostat(&params).map(|_| None)
    }
}

/// One request's policy.
struct Request(RefCell<Mirostat>);

/// Of the bytes that [`Mirostat::save`] writes.
const VERSION: u32 = 1;

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        Ok(Policy::new(Self(RefCell::new(mirostat(&params)?))))
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, info: StepInfo, logits: Logits) -> Result<Choice, Error> {
        let mut mirostat = self.0.borrow_mut();
        if let Some(&last) = info.new.last() {
            mirostat.observe(last);
        }
        let top = logits.top(mirostat.candidates())?;
        logits.allow(&mirostat.keep(&top))?;
        logits.sample().map(Choice::Token)
    }

    fn save(&self) -> Saved {
        Saved { version: VERSION, bytes: self.0.borrow().save() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        let mut mirostat = mirostat(&params)?;
        if saved.version != VERSION || !mirostat.restore(&saved.bytes) {
            return Err(Error::InvalidInput("this is no saved state of mirostat, version 1".into()));
        }
        Ok(Policy::new(Self(RefCell::new(mirostat))))
    }
}

fn mirostat(params: &str) -> Result<Mirostat, Error> {
    Mirostat::parse(params).map_err(|error| Error::InvalidInput(error.to_string()))
}
