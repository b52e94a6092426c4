//! `wasmlx store bind`: what a model is used with where a command says nothing else.

use serde_json::{Value, json};
use wasmlx::{BindRequest, Bindings, ComponentKind, Host};

use super::show;
use crate::GlobalOptions;
use crate::candidates;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model; it lies in the store
    #[arg(add = candidates::stored_model())]
    model: String,
    /// The component that writes its prompts: a file or a name
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Template))]
    template: Option<String>,
    /// The component that chooses its tokens
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Policy))]
    sampler: Option<String>,
    /// The component that runs its conversations
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Chat))]
    chat: Option<String>,
    /// A system prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// A parameter of the sampler: temperature=0.6. May be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    set: Vec<(String, Value)>,
    /// Unbind everything, before anything else is bound
    #[arg(long)]
    clear: bool,
}

pub(super) fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let Arguments { model, template, sampler, chat, system, set, clear } = arguments;
    let bindings = Bindings { template, sampler, chat, system, parameters: set.into_iter().collect() };
    if bindings.is_empty() && !clear {
        let say = "say what to bind: --template, --sampler, --chat, --system, --set; or --clear";
        return Err(Failure::Usage(say.to_owned()));
    }
    let manifest = Host::builder().build()?.bind_model(&model, BindRequest { clear, bindings })?;
    let mut output = Output::new();
    if global.json {
        return output.json(&json!({"name": manifest.name.to_string(), "bindings": manifest.bindings}));
    }
    output.styled(output::BOLD, &manifest.name.to_string())?;
    output.text("\n")?;
    match manifest.bindings.is_empty() {
        true => output.line("  bound to nothing")?,
        false => show::bindings(&manifest.bindings, &mut output)?,
    }
    output.flush()
}

/// `NAME=VALUE`, where the value is JSON, or a text.
fn parameter(text: &str) -> std::result::Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("NAME=VALUE is needed")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_text() {
        let parsed = ["temperature=0.6", "mode=fast", "a={\"b\":1}", "empty="].map(|text| parameter(text).unwrap().1);
        assert_eq!(parsed, [json!(0.6), json!("fast"), json!({"b": 1}), json!("")]);
        assert!(parameter("temperature").is_err() && parameter("=1").is_err());
    }
}
