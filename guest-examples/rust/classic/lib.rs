//! The usual sampling chain, run token by token.
//!
//! Its parameters are those of `default-policy`, and under the same seed so are its tokens; but where that one is a
//! plan, this one is called for every token. It shows how such a policy keeps up: each call on `logits` only adds to
//! what the device will compute, and nothing is read, so `step` is over before the device has the scores.

mod recent;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Classic;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(Classic with_types_in self);
}

use std::cell::RefCell;

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::logits::{Logits, Penalties, Sampled};
use bindings::wasmlx::runner::types::{Error, Saved};
use recent::Recent;
use sampling_parameters::{Parameters, Step};

struct Classic;

impl Guest for Classic {
    type Policy = Request;

    fn plan(params: String) -> Result<Option<Vec<Op>>, Error> {
        // Not a plan, but what is wrong with the parameters is best said before the first token.
        chain(&params).map(|_| None)
    }
}

/// One request's policy.
struct Request {
    chain: Vec<Step>,
    recent: RefCell<Recent>,
}

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        let chain = chain(&params)?;
        let window = chain.iter().find_map(|step| match step {
            Step::Penalties { window, .. } => Some(*window),
            _ => None,
        });
        let recent = RefCell::new(Recent::new(window.unwrap_or(0)));
        Ok(Policy::new(Self { chain, recent }))
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, info: StepInfo, logits: Logits) -> Result<Choice, Error> {
        let mut recent = self.recent.borrow_mut();
        recent.extend(&info.new);
        run(&self.chain, recent.tokens(), &logits).map(Choice::Token)
    }

    /// There is nothing to save: the first call of a restored instance is given the whole text.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        match saved.version {
            1 => Self::open(params),
            other => Err(Error::InvalidInput(format!("classic reads saved states of version 1, not {other}"))),
        }
    }
}

fn chain(params: &str) -> Result<Vec<Step>, Error> {
    let parameters = Parameters::parse(params).map_err(|error| Error::InvalidInput(error.to_string()))?;
    match parameters.seed {
        None => Ok(parameters.chain()),
        // `logits.sample` draws with the request's seed; only a plan can put another in its place.
        Some(_) => Err(Error::InvalidInput("`seed` is for plans: give this policy's to the request".into())),
    }
}

/// Adds the chain to what the device will compute.
fn run(chain: &[Step], recent: &[u32], logits: &Logits) -> Result<Sampled, Error> {
    for step in chain {
        match *step {
            Step::Bias(ref biases) => logits.bias(biases)?,
            Step::Penalties { repetition, presence, frequency, .. } => {
                logits.penalise(&Penalties { tokens: recent.to_vec(), repetition, presence, frequency })?;
            }
            Step::TopP(p) => logits.top_p(p)?,
            Step::MinP { p, min_keep } => logits.min_p(p, min_keep)?,
            Step::Xtc { probability, threshold } => logits.xtc(probability, threshold)?,
            Step::TopK(k) => logits.top_k(k)?,
            Step::Temperature(0.0) => return logits.argmax(),
            Step::Temperature(temperature) => logits.scale(1.0 / temperature)?,
        }
    }
    logits.sample()
}
