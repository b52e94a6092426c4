//! The sampling policy in use where the user names none.
//!
//! It is a plan: it says once which steps its parameters mean, and the host runs them for every token without
//! calling it again. See `classic` for the same chain run token by token.

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::DefaultPolicy;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(DefaultPolicy with_types_in self);
}

use bindings::exports::wasmlx::runner::policy::{
    Choice, Guest, GuestPolicy, MinP, Op, PlanPenalties, Policy, StepInfo, Xtc,
};
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use sampling_parameters::{Parameters, Step};

struct DefaultPolicy;

impl Guest for DefaultPolicy {
    type Policy = Never;

    fn plan(params: String) -> Result<Option<Vec<Op>>, Error> {
        let parameters = Parameters::parse(&params).map_err(|error| Error::InvalidInput(error.to_string()))?;
        let seed = parameters.seed.map(Op::Seed);
        Ok(Some(parameters.chain().into_iter().map(op).chain(seed).collect()))
    }
}

fn op(step: Step) -> Op {
    match step {
        Step::Bias(biases) => Op::Bias(biases),
        Step::Penalties { repetition, presence, frequency, window } => {
            Op::Penalties(PlanPenalties { repetition, presence, frequency, window })
        }
        Step::TopP(p) => Op::TopP(p),
        Step::MinP { p, min_keep } => Op::MinP(MinP { p, min_keep }),
        Step::Xtc { probability, threshold } => Op::Xtc(Xtc { probability, threshold }),
        Step::TopK(k) => Op::TopK(k),
        Step::Temperature(temperature) => Op::Temperature(temperature),
    }
}

/// What the world asks for besides a plan. The host makes no policy object of one that plans.
struct Never;

impl GuestPolicy for Never {
    fn open(_params: String) -> Result<Policy, Error> {
        Err(planned())
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, _info: StepInfo, _logits: Logits) -> Result<Choice, Error> {
        Err(planned())
    }

    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(_params: String, _saved: Saved) -> Result<Policy, Error> {
        Err(planned())
    }
}

fn planned() -> Error {
    Error::InvalidInput("the default policy is a plan: take it from `plan` and run it".into())
}
