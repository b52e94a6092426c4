//! `wasmlx store list`: the models that there are.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wasmlx::{BrokenModel, Content, Host, ModelList, StoredModel, UnfinishedModel};

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

const HEADINGS: [&str; 10] =
    ["name", "short name", "type", "architecture", "parameters", "quant", "size", "context", "last used", "uses"];

pub(super) fn run(global: &GlobalOptions) -> Result {
    let list = Host::builder().build()?.store().list()?;
    let mut output = Output::new();
    if global.json {
        output.json(&listed_json(&list))?;
    } else {
        table(&list, &mut output, global)?;
    }
    output.flush()?;
    for broken in list.broken.iter().filter(|_| !global.json) {
        Failure::new(wasmlx::ErrorKind::InvalidModel, &broken.why).report();
    }
    if list.broken.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn table(list: &ModelList, output: &mut Output, global: &GlobalOptions) -> Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let rows: Vec<[String; 10]> = list.models.iter().map(|model| row(model, now)).collect();
    if rows.is_empty() && list.unfinished.is_empty() && list.broken.is_empty() && !global.quiet {
        output::aside(
            "no models; `wasmlx pull MODEL` fetches one, `wasmlx store import FOLDER` takes one in, and without any `run` \
             has the built-in one",
        );
    }
    output.table(HEADINGS, [false; 10], &rows, global.quiet)?;
    for model in &list.unfinished {
        output.line(unfinished(model))?;
    }
    Ok(())
}

fn row(model: &StoredModel, now: u64) -> [String; 10] {
    let facts = &model.facts;
    let known = |fact: Option<String>| fact.unwrap_or_else(|| "-".to_owned());
    [
        model.name.clone(),
        if model.short_name == model.name { String::new() } else { model.short_name.clone() },
        known(facts.task.as_ref().map(ToString::to_string)),
        known(facts.model_type.clone()),
        known(facts.parameters.map(output::parameters)),
        known(facts.quantization.as_ref().map(ToString::to_string)),
        output::bytes(model.size),
        known(facts.context.map(|tokens| tokens.to_string())),
        model.usage.map_or_else(|| "never".to_owned(), |usage| ago(now.saturating_sub(usage.last_used))),
        model.usage.map_or(0, |usage| usage.times_used).to_string(),
    ]
}

fn unfinished(model: &UnfinishedModel) -> String {
    let UnfinishedModel { name, done, total, is_active, .. } = model;
    let state = if *is_active { "coming in now" } else { "unfinished" };
    let far = match total {
        0 => String::new(),
        _ => format!(": {} of {}", output::bytes(*done), output::bytes(*total)),
    };
    format!("{name}  ({state}{far})")
}

/// All of them, each with its state: `ready`, `unfinished`, `broken`.
fn listed_json(list: &ModelList) -> Value {
    let ready = list.models.iter().map(model_json);
    let unfinished = list.unfinished.iter().map(|model| {
        json!({
            "name": model.name, "state": "unfinished", "bytes_done": model.done, "bytes_total": model.total,
            "active": model.is_active,
        })
    });
    let broken =
        list.broken.iter().map(|BrokenModel { name, why, .. }| json!({"name": name, "state": "broken", "error": why}));
    Value::Array(ready.chain(unfinished).chain(broken).collect())
}

/// A model as JSON has it.
pub(super) fn model_json(model: &StoredModel) -> Value {
    let facts = &model.facts;
    let mut listed = json!({
        "name": model.name, "short_name": model.short_name, "state": "ready",
        "type": facts.task, "architecture": facts.model_type, "parameters": facts.parameters,
        "quantization": facts.quantization, "bytes": model.size, "context": facts.context,
        "last_used": model.usage.map(|usage| usage.last_used),
        "times_used": model.usage.map_or(0, |usage| usage.times_used),
    });
    let more = match &model.content {
        Content::Stored(manifest) => json!({"source": manifest.source, "created": manifest.created}),
        Content::Folder(folder) => json!({"folder": folder}),
        _ => json!({}),
    };
    if let (Value::Object(listed), Value::Object(more)) = (&mut listed, more) {
        listed.extend(more);
    }
    listed
}

/// How long ago, for people.
pub(super) fn ago(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        assert_eq!([3, 61, 7300, 200_000].map(ago), ["just now", "1 minute ago", "2 hours ago", "2 days ago"]);
    }
}
