//! `wasmlx store show`: what a model is made of.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wasmlx::{Bindings, Content, Host, ModelManifest, Source, StoredModel};

use super::list::{ago, model_json};
use crate::GlobalOptions;
use crate::candidates;
use crate::failure::Result;
use crate::output::{self, Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model
    #[arg(add = candidates::model())]
    model: String,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let host = Host::builder().build()?;
    let model = host.store().show(&arguments.model)?;
    let what_lacks = match &model.content {
        Content::Stored(manifest) => manifest.what_lacks(),
        _ => None,
    };
    // Of less than a model it would tell nothing.
    let memory = Some(host.estimate(Some(&arguments.model))?)
        .filter(|memory| what_lacks.is_none() || memory.cache_bytes_per_1000_tokens.is_some());
    let mut output = Output::new();
    if global.json {
        let mut shown = shown_json(&model);
        shown["memory"] = json!(memory);
        return output.json(&shown);
    }
    output.styled(output::BOLD, &model.name)?;
    output.text("\n")?;
    for (what, value) in lines(&model) {
        output.line(format_args!("  {what:13} {value}"))?;
    }
    if let Some(memory) = memory {
        output.line(format_args!("  {:13} {}", "memory", output::memory(&memory)))?;
    }
    if let Some(what) = what_lacks {
        output.line(format_args!("  {:13} {what}", "lacks"))?;
    }
    if let Content::Stored(manifest) = &model.content {
        output.line("  files")?;
        for file in &manifest.files {
            let (size, digest) = (output::bytes(file.size), file.sha256.to_string());
            output.line(format_args!("    {size:>9}  sha256-{}  {}", &digest[..12], file.path))?;
        }
        bindings(&manifest.bindings, &mut output)?;
    }
    output.flush()
}

/// What is known of it.
fn lines(model: &StoredModel) -> Vec<(&'static str, String)> {
    let (facts, now) = (&model.facts, SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()));
    let used = model.usage.map(|usage| {
        let times = if usage.times_used == 1 { "once".to_owned() } else { format!("{} times", usage.times_used) };
        format!("{times}, {}", ago(now.saturating_sub(usage.last_used)))
    });
    let short = Some(model.short_name.clone()).filter(|short| *short != model.name);
    let (from, commit) = match &model.content {
        Content::Stored(manifest) => (source(manifest), manifest.commit().map(str::to_owned)),
        Content::Folder(folder) => (format!("{}, used in place", folder.display()), None),
        _ => (String::new(), None),
    };
    let lines = [
        ("short name", short),
        ("type", facts.task.as_ref().map(ToString::to_string)),
        ("architecture", facts.model_type.clone()),
        ("parameters", facts.parameters.map(output::parameters)),
        ("quantisation", facts.quantization.as_ref().map(ToString::to_string)),
        ("context", facts.context.map(|tokens| format!("{tokens} tokens"))),
        ("size", Some(output::bytes(model.size))),
        ("from", Some(from)),
        ("commit", commit),
        ("used", used.or_else(|| Some("never".to_owned()))),
    ];
    lines.into_iter().filter_map(|(what, value)| Some((what, value?))).collect()
}

fn source(manifest: &ModelManifest) -> String {
    match &manifest.source {
        Source::Hub { endpoint, repository, revision, .. } => format!("{repository} at {revision}, from {endpoint}"),
        Source::Import { path } => format!("{path}, imported"),
        Source::Conversion { from, bits, group_size, .. } => {
            format!("{from}, quantised to {bits} bits in groups of {group_size}")
        }
        _ => "elsewhere".to_owned(),
    }
}

/// What it is bound to.
pub(super) fn bindings(bindings: &Bindings, output: &mut Output) -> Result {
    if bindings.is_empty() {
        return Ok(());
    }
    output.line("  bound to, where a command says nothing else")?;
    let texts = [
        ("template", &bindings.template),
        ("sampler", &bindings.sampler),
        ("chat", &bindings.chat),
        ("system", &bindings.system),
    ];
    for (what, text) in texts {
        if let Some(text) = text {
            output.line(format_args!("    {what:11} {text}"))?;
        }
    }
    for (name, value) in &bindings.parameters {
        output.line(format_args!("    {name:11} {value}"))?;
    }
    Ok(())
}

fn shown_json(model: &StoredModel) -> Value {
    let mut shown = model_json(model);
    if let (Value::Object(shown), Content::Stored(manifest)) = (&mut shown, &model.content) {
        shown.insert("facts".to_owned(), json!(model.facts));
        shown.insert("files".to_owned(), json!(manifest.files));
        shown.insert("bindings".to_owned(), json!(manifest.bindings));
    }
    shown
}
