//! Interface `vocabulary`: what a model's tokens are.

use super::policy::bindings::wasmlx::runner::vocabulary::Host;
use super::types::wit::Error;
use crate::policy::PolicyState;

impl Host for PolicyState {
    fn size(&mut self) -> u32 {
        self.vocabulary.size
    }

    fn token_bytes(&mut self, tokens: Vec<u32>) -> Result<Vec<Vec<u8>>, Error> {
        self.handles.spell(tokens.len())?;
        self.fits(tokens.len())?;
        let Some(tokenizer) = &self.vocabulary.tokenizer else {
            return Err(Error::NotFound("the model was loaded without a tokenizer".into()));
        };
        let bytes = |token| tokenizer.token_bytes(token).filter(|_| !tokenizer.is_special(token)).unwrap_or_default();
        Ok(tokens.into_iter().map(bytes).collect())
    }

    fn end_tokens(&mut self) -> Vec<u32> {
        self.vocabulary.end_tokens.clone()
    }
}
