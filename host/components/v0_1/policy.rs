//! World `sampling-policy`: its export, interface `policy`.

use wasmlx_engine::{Chain, ChainPenalties, SavedState};
use wasmtime::component::{Component, HasSelf, Linker};

use super::logging::{self, Logs};
use super::types::wit::Saved;
use crate::guest_log::GuestLog;
use crate::policy::PolicyState;

#[allow(unreachable_pub, reason = "generated")]
pub(super) mod bindings {
    /// What a handle of the guest's stands for; the things themselves are in a table of the step.
    pub enum Logits {}
    /// See [`Logits`].
    pub enum Sampled {}
    /// A grammar's place in the policy's own table.
    pub enum Grammar {}

    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "sampling-policy",
        imports: { default: tracing },
        with: {
            "wasmlx:runner/types": crate::v0_1::types::wit,
            "wasmlx:runner/grammars.grammar": Grammar,
            "wasmlx:runner/logits.logits": Logits,
            "wasmlx:runner/logits.sampled": Sampled,
        },
    });
}

pub(crate) use bindings::SamplingPolicy as World;
pub(crate) use bindings::exports::wasmlx::runner::policy::{Choice, Op, StepInfo};
pub(crate) use bindings::{Grammar, Logits, Sampled};
pub(crate) type Linked = bindings::SamplingPolicyPre<PolicyState>;

/// Links a policy: it gets grammars, operations on logits, the vocabulary, and a log.
pub(crate) fn link(mut linker: Linker<PolicyState>, code: &Component) -> wasmtime::Result<Linked> {
    bindings::wasmlx::runner::grammars::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    bindings::wasmlx::runner::logits::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    bindings::wasmlx::runner::vocabulary::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    logging::link(&mut linker)?;
    bindings::SamplingPolicyPre::new(linker.instantiate_pre(code)?)
}

/// The chain that a plan means. Of an operation that is named twice the last counts.
pub(crate) fn chain(plan: Vec<Op>) -> Chain {
    // Only an operation makes a chain do something: without a temperature it samples from the scores as they are.
    let mut chain = Chain { temperature: 1.0, ..Chain::default() };
    for op in plan {
        match op {
            Op::Bias(bias) => chain.bias = bias,
            Op::Penalties(penalties) => {
                chain.penalties = Some(ChainPenalties {
                    repetition: penalties.repetition,
                    presence: penalties.presence,
                    frequency: penalties.frequency,
                    window: penalties.window,
                });
            }
            Op::TopP(p) => chain.top_p = Some(p),
            Op::MinP(min_p) => chain.min_p = Some((min_p.p, min_p.min_keep)),
            Op::Xtc(xtc) => chain.xtc = Some((xtc.probability, xtc.threshold)),
            Op::TopK(k) => chain.top_k = Some(k),
            Op::Temperature(temperature) => chain.temperature = temperature,
            Op::Seed(seed) => chain.seed = Some(seed),
        }
    }
    chain
}

impl Logs for PolicyState {
    fn guest_log(&self) -> &GuestLog {
        &self.log
    }
}

impl From<Saved> for SavedState {
    fn from(Saved { version, bytes }: Saved) -> Self {
        Self { version, bytes }
    }
}

impl From<SavedState> for Saved {
    fn from(SavedState { version, bytes }: SavedState) -> Self {
        Self { version, bytes }
    }
}
