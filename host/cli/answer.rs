//! What a user says of answers: from which model, how long, how sampled, by which components, with which tools.

use clap::Args;
use wasmlx::{ChatBuilder, Model};

use crate::failure::Result;
use crate::options::{ANSWER, ComponentOptions, GrammarOptions, ModelOptions, SamplingOptions};
use crate::tools::ToolOptions;

/// The options of every command that answers.
#[derive(Debug, Args)]
pub(crate) struct AnswerOptions {
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    /// A system prompt; none is added otherwise
    #[arg(long, value_name = "TEXT", help_heading = ANSWER)]
    pub(crate) system: Option<String>,
    /// The most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 512, allow_negative_numbers = true, help_heading = ANSWER)]
    pub(crate) max_tokens: usize,
    /// End an answer at this string; may be given more than once
    #[arg(long, value_name = "STRING", help_heading = ANSWER)]
    pub(crate) stop: Vec<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingOptions,
    #[command(flatten)]
    pub(crate) grammar: GrammarOptions,
    #[command(flatten)]
    pub(crate) components: ComponentOptions,
    #[command(flatten)]
    tools: ToolOptions,
}

impl AnswerOptions {
    /// A chat, or an agent, that is set up as the user said.
    pub(crate) async fn builder(&self, model: &Model) -> Result<ChatBuilder> {
        let mut builder = model
            .chat()
            .max_tokens(self.max_tokens)
            .stops(self.stop.clone())
            .sampler_params(self.sampling.parameters());
        if let Some(system) = &self.system {
            builder = builder.system(system);
        }
        if let Some(seed) = self.sampling.seed {
            builder = builder.seed(seed);
        }
        if let Some(schema) = self.grammar.schema()? {
            builder = builder.json_schema(schema);
        }
        self.tools.apply(self.components.apply(builder)).await
    }
}
