//! Interface `logits`: what a policy may do to the scores of a step.

use wasmlx_backend::{BackendError, BackendErrorKind, Logits as DeviceLogits, Penalties};
use wasmtime::component::Resource;

use super::policy::bindings::wasmlx::runner::logits::{Host, HostLogits, HostSampled, Penalties as WitPenalties};
use super::policy::{Grammar, Logits, Sampled};
use super::types::wit::{self, Error};
use crate::handles::HandleError;
use crate::policy::PolicyState;

/// How many lists as long as the vocabulary a step may name. Each is copied, and becomes an array on the device.
const LISTS_PER_STEP: usize = 16;

impl wit::Host for PolicyState {}

impl Host for PolicyState {}

impl HostSampled for PolicyState {
    fn drop(&mut self, token: Resource<Sampled>) -> wasmtime::Result<()> {
        self.handles.drop(token.rep());
        Ok(())
    }
}

impl HostLogits for PolicyState {
    fn scale(&mut self, logits: Resource<Logits>, factor: f32) -> Result<(), Error> {
        finite("the factor", factor)?;
        Ok(self.handles.logits(logits.rep())?.scale(factor)?)
    }

    fn bias(&mut self, logits: Resource<Logits>, biases: Vec<(u32, f32)>) -> Result<(), Error> {
        self.fits(biases.len())?;
        if let Some((token, _)) = biases.iter().find(|(_, bias)| bias.is_nan()) {
            return Err(Error::InvalidInput(format!("the bias of token {token} is not a number")));
        }
        Ok(self.handles.logits(logits.rep())?.bias(&biases)?)
    }

    fn allow(&mut self, logits: Resource<Logits>, tokens: Vec<u32>) -> Result<(), Error> {
        self.fits(tokens.len())?;
        Ok(self.handles.logits(logits.rep())?.allow(&tokens)?)
    }

    fn forbid(&mut self, logits: Resource<Logits>, tokens: Vec<u32>) -> Result<(), Error> {
        self.fits(tokens.len())?;
        Ok(self.handles.logits(logits.rep())?.forbid(&tokens)?)
    }

    fn constrain(&mut self, logits: Resource<Logits>, grammar: Resource<Grammar>) -> Result<(), Error> {
        // Finding the tokens may take as long as a reading, and no loop of the guest's is between many of these.
        let logits = self.handles.read(logits.rep())?;
        let mask = self.grammars.mask(grammar.rep())?;
        Ok(logits.allow_mask(&mask)?)
    }

    fn penalise(&mut self, logits: Resource<Logits>, penalties: WitPenalties) -> Result<(), Error> {
        let WitPenalties { tokens, repetition, presence, frequency } = penalties;
        self.fits(tokens.len())?;
        finite("the presence penalty", presence)?;
        finite("the frequency penalty", frequency)?;
        within("the repetition penalty", repetition, repetition > 0.0 && repetition.is_finite(), "more than 0")?;
        let penalties = Penalties { tokens: &tokens, repetition, presence, frequency };
        Ok(self.handles.logits(logits.rep())?.penalise(&penalties)?)
    }

    fn top_k(&mut self, logits: Resource<Logits>, k: u32) -> Result<(), Error> {
        Ok(self.handles.logits(logits.rep())?.top_k(k)?)
    }

    fn top_p(&mut self, logits: Resource<Logits>, p: f32) -> Result<(), Error> {
        within("top-p", p, p > 0.0, "more than 0; 1 keeps every token")?;
        Ok(self.handles.logits(logits.rep())?.top_p(p)?)
    }

    fn min_p(&mut self, logits: Resource<Logits>, p: f32, min_keep: u32) -> Result<(), Error> {
        within("min-p", p, (0.0..=1.0).contains(&p), "from 0 to 1")?;
        Ok(self.handles.logits(logits.rep())?.min_p(p, min_keep)?)
    }

    fn xtc(&mut self, logits: Resource<Logits>, probability: f32, threshold: f32) -> Result<(), Error> {
        within("xtc's probability", probability, (0.0..=1.0).contains(&probability), "from 0 to 1")?;
        within("xtc's threshold", threshold, (0.0..=0.5).contains(&threshold), "from 0 to 0.5")?;
        let key = self.handles.next_key();
        let special = &self.vocabulary.xtc_special;
        Ok(self.handles.logits(logits.rep())?.xtc(probability, threshold, special, key)?)
    }

    fn sample(&mut self, logits: Resource<Logits>) -> Result<Resource<Sampled>, Error> {
        let key = self.handles.next_key();
        let token = self.handles.logits(logits.rep())?.sample(key)?;
        Ok(Resource::new_own(self.handles.add_token(token)?))
    }

    fn argmax(&mut self, logits: Resource<Logits>) -> Result<Resource<Sampled>, Error> {
        let token = self.handles.logits(logits.rep())?.argmax()?;
        Ok(Resource::new_own(self.handles.add_token(token)?))
    }

    fn fork(&mut self, logits: Resource<Logits>) -> Result<Resource<Logits>, Error> {
        let fork = self.handles.logits(logits.rep())?.fork()?;
        Ok(Resource::new_own(self.handles.add_logits(fork)?))
    }

    fn mix(&mut self, logits: Resource<Logits>, other: Resource<Logits>, weight: f32) -> Result<(), Error> {
        // Given away by the guest, so it is gone whatever comes of it.
        let other = self.handles.take_logits(other.rep())?;
        finite("the weight", weight)?;
        Ok(self.handles.logits(logits.rep())?.mix(other.as_ref(), weight)?)
    }

    fn top(&mut self, logits: Resource<Logits>, k: u32) -> Result<Vec<(u32, f32)>, Error> {
        let k = k.min(self.vocabulary.size);
        self.reading(logits, |logits| logits.top(k))
    }

    fn entropy(&mut self, logits: Resource<Logits>) -> Result<f32, Error> {
        self.reading(logits, |logits| logits.entropy())
    }

    fn logprobs(&mut self, logits: Resource<Logits>, tokens: Vec<u32>) -> Result<Vec<f32>, Error> {
        self.fits(tokens.len())?;
        self.reading(logits, |logits| logits.logprobs(&tokens))
    }

    fn read(&mut self, logits: Resource<Logits>) -> Result<Vec<f32>, Error> {
        self.reading(logits, |logits| logits.read())
    }

    fn drop(&mut self, logits: Resource<Logits>) -> wasmtime::Result<()> {
        self.handles.drop(logits.rep());
        Ok(())
    }
}

impl PolicyState {
    /// Whether a list of tokens is no longer than the vocabulary or the text is: nothing longer makes sense.
    pub(super) fn fits(&mut self, length: usize) -> Result<(), Error> {
        let most = self.vocabulary.size.max(self.handles.position()) as usize;
        if length > most {
            let message = format!("a list of {length} tokens is longer than both the vocabulary and the text ({most})");
            return Err(Error::InvalidInput(message));
        }
        Ok(self.handles.list(length, LISTS_PER_STEP * most)?)
    }

    /// Has the device finish and reads. Waiting for it is not the guest's computing.
    fn reading<R>(
        &mut self,
        logits: Resource<Logits>,
        read: impl FnOnce(&mut dyn DeviceLogits) -> Result<R, BackendError>,
    ) -> Result<R, Error> {
        let logits = self.handles.read(logits.rep())?;
        self.computed.pause();
        let read = read(logits);
        self.computed.resume();
        Ok(read?)
    }
}

fn finite(what: &str, value: f32) -> Result<(), Error> {
    within(what, value, value.is_finite(), "a finite number")
}

fn within(what: &str, value: f32, right: bool, range: &str) -> Result<(), Error> {
    if right { Ok(()) } else { Err(Error::InvalidInput(format!("{what} is {value}; it must be {range}"))) }
}

impl From<HandleError> for Error {
    fn from(error: HandleError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        let message = error.to_string();
        match error.kind() {
            BackendErrorKind::InvalidInput | BackendErrorKind::Unsupported => Self::InvalidInput(message),
            BackendErrorKind::OutOfMemory => Self::OutOfMemory(message),
            BackendErrorKind::Cancelled => Self::Cancelled(message),
            _ => Self::ModelFailed(message),
        }
    }
}
