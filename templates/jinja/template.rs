//! A chat template, parsed once and rendered for each conversation.

use std::rc::Rc;

use wasmlx_template_support::json::Json;

use crate::ast::Body;
use crate::context;
use crate::error::Result;
use crate::functions;
use crate::interpreter::Interpreter;
use crate::parser;
use crate::python::time::Clock;
use crate::text::Text;

/// A parsed chat template.
pub struct Template {
    body: Body,
    names: Vec<Rc<str>>,
}

impl Template {
    /// Parses a template's source.
    pub fn parse(source: &str) -> Result<Template> {
        let parser::Parsed { body, names } = parser::parse(source)?;
        Ok(Template { body, names })
    }

    /// Renders the template with the variables of a context, as transformers would. Of these, what `tokens` has in the
    /// same way are the model's special tokens (`bos_token` and the like), and not the caller's. Without a clock the
    /// template finds no `strftime_now`.
    pub fn render(&self, context: &[(String, Json)], tokens: &[(String, Json)], clock: Option<Clock>) -> Result<Text> {
        let global = |name: &Rc<str>| match context.iter().find(|(known, _)| **known == **name) {
            Some((_, json)) => Some(context::variable(name, json, tokens)),
            None => functions::global(name, clock),
        };
        Interpreter::new(&self.names, self.names.iter().map(global).collect()).render(&self.body)
    }
}
