//! `wasmlx component list`: the components that have names.

use serde_json::{Value, json};
use wasmlx::{ComponentSource, Host, ListedComponent, Signer};

use crate::GlobalOptions;
use crate::cost;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

pub(super) fn run(global: &GlobalOptions) -> Result {
    let list = Host::builder().build()?.list_components()?;
    let mut output = Output::new();
    if global.json {
        let components: Vec<Value> = list.components.iter().map(listed_json).collect();
        let broken = list.broken.iter().map(|(name, error)| json!({"name": name, "error": error.to_string()}));
        output.json(&json!({"components": components, "broken": broken.collect::<Vec<_>>()}))?;
    } else {
        let rows: Vec<[String; 6]> = list.components.iter().map(row).collect();
        let headings = ["name", "kind", "version", "size", "digest", ""];
        output.table(headings, [false; 6], &rows, global.quiet)?;
        output.flush()?;
    }
    for (_, error) in &list.broken {
        Failure::Failed(error.clone()).report();
    }
    if list.broken.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn row(component: &ListedComponent) -> [String; 6] {
    [
        component.name.clone(),
        component.kind.clone(),
        component.version.clone().unwrap_or_else(|| "-".to_owned()),
        output::bytes(component.size),
        short(&component.digest),
        if component.built_in { "built in".to_owned() } else { String::new() },
    ]
}

/// The beginning of a digest, enough to name it by.
pub(super) fn short(digest: &str) -> String {
    format!("sha256-{}", digest.get(..12).unwrap_or(digest))
}

/// A component as JSON has it.
pub(super) fn listed_json(component: &ListedComponent) -> Value {
    json!({
        "name": component.name, "built_in": component.built_in, "kind": component.kind, "version": component.version,
        "description": component.description, "digest": format!("sha256-{}", component.digest),
        "bytes": component.size, "cost": cost::json(component.cost.as_ref()),
        "source": component.source.as_ref().map(source_json), "signer": component.signer.as_ref().map(signer_json),
    })
}

/// Where a component came from.
pub(super) fn source_json(source: &ComponentSource) -> Value {
    match source {
        ComponentSource::File { path } => json!({"kind": "file", "path": path}),
        ComponentSource::Url { url } => json!({"kind": "url", "url": url}),
        ComponentSource::Oci { reference, manifest } => {
            json!({"kind": "oci", "reference": reference, "manifest": manifest})
        }
        other => json!({"kind": "other", "address": other.to_string()}),
    }
}

/// Who signed it.
pub(super) fn signer_json(signer: &Signer) -> Value {
    json!({"key": signer.key, "comment": signer.comment})
}
