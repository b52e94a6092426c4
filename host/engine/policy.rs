//! What chooses tokens step by step: the trait that sampling components are made into.

use wasmlx_backend::{Logits, Token};

/// The most that [`Policy::max_backtrack`] may answer.
pub const MAX_BACKTRACK: usize = 64;

/// Chooses the tokens of one generation, one step at a time, on the device thread.
///
/// **One step, exactly.** (a) The engine queues the forward pass on the newest token, which it has not read yet, and
/// starts it. (b) While the device computes, the engine reads that token and applies end tokens, stop strings, limits
/// and cancellation. (c) It calls [`Policy::step`], whose [`StepInfo::new`] ends with that token. (d) It queues what
/// was chosen. Where (b) ends the answer the pass was for nothing, and the cache goes back by one position; where (d)
/// is a backtrack it goes back by what is dropped. So a policy that reads nothing costs the device no idle time but
/// that of its own call.
///
/// A policy is called from the device thread alone, and not at all where a generation has ended; [`Policy::save`] is
/// never called by the engine, which hands the policy back through `Generation::take_policy` for that.
pub trait Policy: Send {
    /// How many of the newest tokens [`Choice::Backtrack`] may drop: as many are withheld from the reader. At most
    /// [`MAX_BACKTRACK`]. Asked once, where the generation is made.
    fn max_backtrack(&self) -> usize {
        0
    }

    /// Chooses what comes next. Where the device then has no memory to go on with a token that was drawn, and some is
    /// freed, the policy is asked for that token once more, with no new ones.
    ///
    /// # Errors
    /// Any error ends this generation, and no other, with [`EngineErrorKind::PolicyFailed`].
    ///
    /// [`EngineErrorKind::PolicyFailed`]: crate::EngineErrorKind::PolicyFailed
    fn step(&mut self, info: &StepInfo<'_>, logits: Box<dyn Logits>) -> Result<Choice, PolicyError>;

    /// What a policy made later needs to go on from here; none where it has no state worth keeping.
    fn save(&mut self) -> Result<Option<SavedState>, PolicyError> {
        Ok(None)
    }
}

/// Where a generation stands when its policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct StepInfo<'a> {
    /// How many tokens the text has, prompt included: the index of the token to be chosen.
    pub position: u32,
    /// How many of them were generated in this request.
    pub generated: u32,
    /// The tokens since the last call; at the first, all of them. After a backtrack, the tokens since the cut.
    pub new: &'a [u32],
    /// The request's seed.
    pub seed: u64,
}

/// What a policy chose.
pub enum Choice {
    /// A token, which need not be computed yet.
    Token(Box<dyn Token>),
    /// These tokens (at least one), whatever the model says. They obey end tokens, stop strings and the most tokens
    /// allowed, and whatever of them comes after such an end is dropped.
    Forced(Vec<u32>),
    /// Drop so many of the newest tokens, then go on with these (which may be none). Only tokens that the reader has
    /// not been given can be dropped: at most [`Policy::max_backtrack`] at a time, and fewer right after another
    /// backtrack. All backtracks of a request together may drop 16 times its most tokens, and 1,024 more.
    Backtrack(usize, Vec<u32>),
    /// End the answer here.
    Stop,
}

/// A policy's state as it sees fit, for another instance of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedState {
    /// The version of the format of `bytes`, the policy's own.
    pub version: u32,
    /// The state.
    pub bytes: Vec<u8>,
}

/// Why a policy failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sampling policy {component} {kind}: {message}")]
pub struct PolicyError {
    /// What kind of failure it is.
    pub kind: PolicyErrorKind,
    /// Which component it was.
    pub component: String,
    /// What happened, for a person.
    pub message: String,
}

/// What kind of failure of a policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyErrorKind {
    /// It broke off in the middle: unreachable code, an access out of bounds.
    #[error("trapped")]
    Trapped,
    /// It spent its compute budget.
    #[error("ran out of time")]
    Deadline,
    /// It reached its memory limit.
    #[error("ran out of memory")]
    OutOfMemory,
    /// It answered an error of its own.
    #[error("refused")]
    Refused,
}
