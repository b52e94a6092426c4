//! A request's grammar, followed token by token on the device thread.

use wasmlx_text::{Grammar, GrammarMatcher, TextError, Tokenizer};

use crate::{EngineError, EngineErrorKind};

/// Says which tokens an answer may go on with, its end tokens included.
pub(crate) struct Constraint {
    matcher: GrammarMatcher,
    end_tokens: Vec<u32>,
}

impl Constraint {
    pub(crate) fn new(grammar: &Grammar, tokenizer: &Tokenizer, end_tokens: &[u32]) -> Result<Self, EngineError> {
        if !grammar.is_for(tokenizer) {
            let message = "the grammar was compiled for the tokens of another model: compile it for this one's";
            return Err(EngineError::new(EngineErrorKind::InvalidInput, message));
        }
        let matcher = grammar.matcher().map_err(failed)?;
        Ok(Self { matcher, end_tokens: end_tokens.to_vec() })
    }

    /// Whether the answer is whole, and nothing may follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_complete()
    }

    /// The tokens that may come next, a bit each, as [`wasmlx_backend::Logits::allow_mask`] takes them.
    pub(crate) fn mask(&mut self) -> Result<Vec<u32>, EngineError> {
        let mut mask = self.matcher.mask().map_err(failed)?;
        let may_end = self.matcher.is_accepting().map_err(failed)?;
        // An end that the grammar asks for by its name stays; a beginning that may be anything has none.
        let may_not = !self.matcher.has_begun();
        for &token in &self.end_tokens {
            let (index, bit) = (token as usize / 32, 1 << (token % 32));
            if may_end && index >= mask.len() {
                mask.resize(index + 1, 0);
            }
            match mask.get_mut(index) {
                Some(word) if may_end => *word |= bit,
                Some(word) if may_not => *word &= !bit,
                _ => {}
            }
        }
        Ok(mask)
    }

    /// Takes a token, an end token among them.
    pub(crate) fn accept(&mut self, token: u32, by_policy: bool) -> Result<(), EngineError> {
        let is_end = self.end_tokens.contains(&token);
        if is_end && self.matcher.is_accepting().map_err(failed)? {
            return Ok(());
        }
        let is_early = is_end && !self.matcher.has_begun();
        if is_early || !self.matcher.accept(token).map_err(failed)? {
            return Err(match by_policy {
                true => broken(&format!("it chose the token {token}, which the grammar does not allow here")),
                false => EngineError::new(
                    EngineErrorKind::GrammarFailed,
                    format!(
                        "the token {token} was drawn, which the grammar does not allow here: none of those that it \
                         allows has any chance. See whether the sampler's biases leave some"
                    ),
                ),
            });
        }
        Ok(())
    }

    /// Drops the newest tokens, none of them an end.
    pub(crate) fn rewind(&mut self, count: usize) -> Result<(), EngineError> {
        self.matcher.rewind(count).map_err(failed)
    }

    /// Whether a policy may end the answer here.
    pub(crate) fn check_end(&mut self) -> Result<(), EngineError> {
        match self.matcher.is_accepting().map_err(failed)? {
            true => Ok(()),
            false => Err(broken("it ended the answer where the grammar has more to come")),
        }
    }
}

fn failed(error: TextError) -> EngineError {
    EngineError::new(EngineErrorKind::GrammarFailed, error)
}

fn broken(what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::PolicyFailed, format!("the sampling policy broke the request's grammar: {what}"))
}
