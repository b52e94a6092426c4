//! Interface `grammars`: what an answer must look like.

use wasmlx_text::GrammarSource;
use wasmtime::component::Resource;

use super::policy::Grammar;
use super::policy::bindings::wasmlx::runner::grammars::{Host, HostGrammar};
use super::types::wit::{self, Error};
use crate::ComponentError;
use crate::policy::PolicyState;

impl Host for PolicyState {}

impl HostGrammar for PolicyState {
    fn from_json_schema(&mut self, schema: String) -> Result<Resource<Grammar>, Error> {
        self.compile(wit::GrammarSource::JsonSchema(schema))
    }

    fn from_regex(&mut self, expression: String) -> Result<Resource<Grammar>, Error> {
        self.compile(wit::GrammarSource::Regex(expression))
    }

    fn from_lark(&mut self, text: String) -> Result<Resource<Grammar>, Error> {
        self.compile(wit::GrammarSource::Lark(text))
    }

    fn is_accepting(&mut self, grammar: Resource<Grammar>) -> Result<bool, Error> {
        Ok(self.grammars.is_accepting(grammar.rep())?)
    }

    fn is_complete(&mut self, grammar: Resource<Grammar>) -> Result<bool, Error> {
        Ok(self.grammars.is_complete(grammar.rep())?)
    }

    fn drop(&mut self, grammar: Resource<Grammar>) -> wasmtime::Result<()> {
        self.grammars.drop(grammar.rep());
        Ok(())
    }
}

impl PolicyState {
    fn compile(&mut self, source: wit::GrammarSource) -> Result<Resource<Grammar>, Error> {
        Ok(Resource::new_own(self.grammars.compile(|| source.try_into())?))
    }
}

/// A JSON Schema comes as a text, which may be none.
impl TryFrom<wit::GrammarSource> for GrammarSource {
    type Error = ComponentError;

    fn try_from(source: wit::GrammarSource) -> Result<Self, ComponentError> {
        Ok(match source {
            wit::GrammarSource::JsonSchema(text) => Self::json_schema(&text)?,
            wit::GrammarSource::Regex(expression) => Self::Regex(expression),
            wit::GrammarSource::Lark(text) => Self::Lark(text),
        })
    }
}
