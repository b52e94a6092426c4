//! A policy's grammars, which follow the answer by what the policy is told of it.

use wasmlx_engine::StepInfo;
use wasmlx_text::{Grammar, GrammarMatcher, GrammarSource, Tokenizer};

use crate::{ComponentError, ComponentErrorKind};

/// How many grammars one instance may have compiled.
const MOST_GRAMMARS: usize = 16;

/// The grammars of one instance.
pub(crate) struct Grammars {
    tokenizer: Option<Tokenizer>,
    end_tokens: Vec<u32>,
    /// None for those that the guest has dropped, and for those that did not compile: each counts.
    held: Vec<Option<Held>>,
    /// The tokens of the answer so far.
    answer: Vec<u32>,
    /// Whether a step runs, on the device's thread.
    in_step: bool,
}

struct Held {
    matcher: GrammarMatcher,
    /// The tokens that the matcher has taken.
    taken: Vec<u32>,
}

impl Grammars {
    /// None yet. Without a tokenizer there will be none.
    pub(crate) fn new(tokenizer: Option<Tokenizer>, end_tokens: Vec<u32>) -> Self {
        Self { tokenizer, end_tokens, held: Vec::new(), answer: Vec::new(), in_step: false }
    }

    /// A step begins: notes which tokens the answer has.
    pub(crate) fn begin_step(&mut self, info: &StepInfo<'_>) {
        self.in_step = true;
        if !self.held.is_empty() {
            // Of a first step's tokens the prompt is part; after a backtrack they go on from the cut.
            let generated = info.generated as usize;
            let new = &info.new[info.new.len().saturating_sub(generated)..];
            self.answer.truncate(generated - new.len());
            self.answer.extend_from_slice(new);
        }
    }

    /// The step is over.
    pub(crate) fn end_step(&mut self) {
        self.in_step = false;
    }

    /// Compiles a grammar, which waits for its end on another thread; returns its number.
    pub(crate) fn compile(
        &mut self,
        source: impl FnOnce() -> Result<GrammarSource, ComponentError>,
    ) -> Result<u32, ComponentError> {
        if self.in_step {
            let message = "a step, which runs on the device's thread, makes no grammars: make them in `open`";
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message));
        }
        if self.held.len() == MOST_GRAMMARS {
            let message = format!("a policy may make {MOST_GRAMMARS} grammars");
            return Err(ComponentError::new(ComponentErrorKind::OutOfMemory, "", message));
        }
        let Some(tokenizer) = &self.tokenizer else {
            let message = "grammars need a tokenizer, and the model was loaded without one";
            return Err(ComponentError::new(ComponentErrorKind::NotFound, "", message));
        };
        self.held.push(None);
        let matcher = Grammar::compile(tokenizer, &source()?)?.matcher()?;
        let number = self.held.len() - 1;
        self.held[number] = Some(Held { matcher, taken: Vec::new() });
        Ok(number as u32)
    }

    /// The tokens that may come next, a bit each, ends of the answer among them.
    pub(crate) fn mask(&mut self, number: u32) -> Result<Vec<u32>, ComponentError> {
        let matcher = self.followed(number)?;
        let mut mask = matcher.mask()?;
        if matcher.is_accepting()? {
            for &token in &self.end_tokens {
                let index = token as usize / 32;
                if index >= mask.len() {
                    mask.resize(index + 1, 0);
                }
                mask[index] |= 1 << (token % 32);
            }
        }
        if mask.iter().all(|word| *word == 0) {
            let message = "the answer is complete and the request has no token that ends it: answer `stop`";
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message));
        }
        Ok(mask)
    }

    pub(crate) fn is_accepting(&mut self, number: u32) -> Result<bool, ComponentError> {
        Ok(self.followed(number)?.is_accepting()?)
    }

    pub(crate) fn is_complete(&mut self, number: u32) -> Result<bool, ComponentError> {
        Ok(self.followed(number)?.is_complete())
    }

    pub(crate) fn drop(&mut self, number: u32) {
        if let Some(held) = self.held.get_mut(number as usize) {
            *held = None;
        }
    }

    /// A grammar's matcher, brought to where the answer is.
    fn followed(&mut self, number: u32) -> Result<&mut GrammarMatcher, ComponentError> {
        let Some(Some(Held { matcher, taken })) = self.held.get_mut(number as usize) else {
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", "there is no such grammar any more"));
        };
        let common = taken.iter().zip(&self.answer).take_while(|(taken, token)| taken == token).count();
        matcher.rewind(taken.len() - common)?;
        taken.truncate(common);
        for &token in &self.answer[common..] {
            if !matcher.accept(token)? {
                let message = format!(
                    "the answer has left the grammar with its token {token}, number {} of the answer",
                    taken.len() + 1
                );
                return Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message));
            }
            taken.push(token);
        }
        Ok(matcher)
    }
}
