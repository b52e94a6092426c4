//! Min-p sampling (arXiv:2407.01082), by `step`: a token stays if it is at least `min_p` times as likely as the best
//! one, and of those that stay one is drawn.
//!
//! Each call on `logits` only adds to what the device will compute. Nothing is read, so `step` is over before the
//! device has the scores, and the policy costs next to nothing.

mod parameters;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::MinP;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(MinP with_types_in self);
}

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use parameters::Parameters;

struct MinP;

impl Guest for MinP {
    type Policy = Request;

    fn plan(params: String) -> Result<Option<Vec<Op>>, Error> {
        // Not a plan, but what is wrong with the parameters is best said before the first token.
        parse(&params).map(|_| None)
    }
}

/// One request's policy.
struct Request(Parameters);

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        parse(&params).map(|parameters| Policy::new(Self(parameters)))
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, _: StepInfo, logits: Logits) -> Result<Choice, Error> {
        let Parameters { min_p, temperature } = self.0;
        logits.min_p(min_p, 1)?;
        if temperature == 0.0 {
            return logits.argmax().map(Choice::Token);
        }
        logits.scale(1.0 / temperature)?;
        logits.sample().map(Choice::Token)
    }

    /// There is nothing to save: all that a request knows is its parameters, which `restore` is given again.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        match saved.version {
            1 => Self::open(params),
            other => Err(Error::InvalidInput(format!("min-p reads saved states of version 1, not {other}"))),
        }
    }
}

fn parse(params: &str) -> Result<Parameters, Error> {
    Parameters::parse(params).map_err(Error::InvalidInput)
}
