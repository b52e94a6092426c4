//! What a policy's handles on logits and tokens stand for, during one step.

use wasmlx_backend::{Logits, SampleKey, Token};

use crate::limits::SPELLED_PER_STEP;

/// The bits of a handle's number that are its place in the table; the others are the step it belongs to.
const PLACE_BITS: u32 = 11;

/// The most handles of one step.
const PLACES: usize = 1 << PLACE_BITS;

/// The most handles of earlier steps that a policy may keep. They are numbers without meaning, but each takes a place
/// in the instance's own table of handles.
const MOST_KEPT: u32 = 4096;

/// One step's logits and tokens, by the numbers that the guest has for them. When the step ends all are dropped, so
/// none can keep arrays alive, and their numbers mean nothing from then on.
pub(crate) struct Handles {
    step: u32,
    places: Vec<Option<Handle>>,
    /// Handles that the guest was given and has neither dropped nor given back.
    held: u32,
    operations: u32,
    most_operations: u32,
    readings: u32,
    most_readings: u32,
    /// Elements of lists that the guest has named in this step.
    listed: usize,
    /// Tokens whose bytes it has asked for in this step.
    spelled: usize,
    key: SampleKey,
}

enum Handle {
    Logits(Box<dyn Logits>),
    Token(Box<dyn Token>),
}

/// Why a handle could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandleError {
    #[error("this handle is not one of the current step: handles are valid until the step that received them returns")]
    Expired,
    #[error("a step may do {0} operations on logits, and this one has")]
    TooManyOperations(u32),
    #[error("a step may read logits, or constrain them, {0} times, and this one has")]
    TooManyReadings(u32),
    #[error("the lists of a step may have {0} tokens together, and those of this one have more")]
    TooLongLists(usize),
    #[error("a step, which runs on the device's thread, may ask for the bytes of {0} tokens: ask for more in `open`")]
    TooManySpelled(usize),
}

impl Handles {
    /// A table for steps that may do so many operations each, and so many of them that read.
    pub(crate) fn new(most_operations: u32, most_readings: u32) -> Self {
        let key = SampleKey { seed: 0, position: 0, draw: 0 };
        let (step, places, held, operations, readings, listed, spelled) = (0, Vec::new(), 0, 0, 0, 0, 0);
        Self { step, places, held, operations, most_operations, readings, most_readings, listed, spelled, key }
    }

    /// Begins a step; returns the number of the handle on its logits. None where the policy keeps too many of the
    /// handles it was given before.
    pub(crate) fn begin(&mut self, seed: u64, position: u32, logits: Box<dyn Logits>) -> Option<u32> {
        if self.held > MOST_KEPT {
            return None;
        }
        (self.operations, self.readings, self.listed, self.spelled) = (0, 0, 0, 0);
        self.key = SampleKey { seed, position, draw: 0 };
        self.places.clear();
        self.add(Handle::Logits(logits)).ok()
    }

    /// Ends the step: every handle expires.
    pub(crate) fn end(&mut self) {
        self.places.clear();
        self.step = self.step.wrapping_add(1);
    }

    /// Logits to work on, which is one operation.
    pub(crate) fn logits(&mut self, number: u32) -> Result<&mut dyn Logits, HandleError> {
        self.count()?;
        match self.place(number) {
            Some(Some(Handle::Logits(logits))) => Ok(logits.as_mut()),
            _ => Err(HandleError::Expired),
        }
    }

    /// Logits to read from, or to constrain, which is one reading, and one operation.
    pub(crate) fn read(&mut self, number: u32) -> Result<&mut dyn Logits, HandleError> {
        if self.readings == self.most_readings {
            return Err(HandleError::TooManyReadings(self.most_readings));
        }
        self.readings += 1;
        self.logits(number)
    }

    /// Counts a list of tokens, of which a step may name so many.
    pub(crate) fn list(&mut self, length: usize, most: usize) -> Result<(), HandleError> {
        self.listed = self.listed.saturating_add(length);
        if self.listed > most { Err(HandleError::TooLongLists(most)) } else { Ok(()) }
    }

    /// Counts tokens whose bytes the guest asks for: in a step few, elsewhere as many as it likes.
    pub(crate) fn spell(&mut self, length: usize) -> Result<(), HandleError> {
        // A step has the place of its own logits at least.
        if self.places.is_empty() {
            return Ok(());
        }
        self.spelled = self.spelled.saturating_add(length);
        if self.spelled > SPELLED_PER_STEP { Err(HandleError::TooManySpelled(SPELLED_PER_STEP)) } else { Ok(()) }
    }

    /// Takes logits that the guest gave back.
    pub(crate) fn take_logits(&mut self, number: u32) -> Result<Box<dyn Logits>, HandleError> {
        match self.take(number) {
            Some(Handle::Logits(logits)) => Ok(logits),
            _ => Err(HandleError::Expired),
        }
    }

    /// Takes a token that the guest gave back.
    pub(crate) fn take_token(&mut self, number: u32) -> Result<Box<dyn Token>, HandleError> {
        match self.take(number) {
            Some(Handle::Token(token)) => Ok(token),
            _ => Err(HandleError::Expired),
        }
    }

    /// A handle on more logits.
    pub(crate) fn add_logits(&mut self, logits: Box<dyn Logits>) -> Result<u32, HandleError> {
        self.add(Handle::Logits(logits))
    }

    /// A handle on a token.
    pub(crate) fn add_token(&mut self, token: Box<dyn Token>) -> Result<u32, HandleError> {
        self.add(Handle::Token(token))
    }

    /// The guest dropped a handle, of this step or an earlier one.
    pub(crate) fn drop(&mut self, number: u32) {
        self.take(number);
    }

    /// How many tokens the text has in this step.
    pub(crate) fn position(&self) -> u32 {
        self.key.position
    }

    /// What the next random draw of this step depends on.
    pub(crate) fn next_key(&mut self) -> SampleKey {
        let key = self.key;
        self.key.draw += 1;
        key
    }

    fn count(&mut self) -> Result<(), HandleError> {
        if self.operations == self.most_operations {
            return Err(HandleError::TooManyOperations(self.most_operations));
        }
        self.operations += 1;
        Ok(())
    }

    fn add(&mut self, handle: Handle) -> Result<u32, HandleError> {
        let place = self.places.len();
        if place == PLACES {
            return Err(HandleError::TooManyOperations(self.most_operations));
        }
        self.places.push(Some(handle));
        self.held += 1;
        // A step's number comes round after two million steps; a handle kept for so long means a later step's value.
        Ok(self.step << PLACE_BITS | place as u32)
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Handle>> {
        if number >> PLACE_BITS != self.step << PLACE_BITS >> PLACE_BITS {
            return None;
        }
        self.places.get_mut(number as usize % PLACES)
    }

    fn take(&mut self, number: u32) -> Option<Handle> {
        self.held = self.held.saturating_sub(1);
        self.place(number)?.take()
    }
}
