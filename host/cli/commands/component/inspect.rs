//! `wasmlx component inspect`: what a component is, what it asks for, what it may do.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use wasmlx::{ComponentOrigin, ComponentRef, Host, Inspection, KindLimits, Requests};

use super::list::{signer_json, source_json};
use crate::GlobalOptions;
use crate::candidates;
use crate::cost;
use crate::failure::Result;
use crate::output::{self, Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A component: a name, a .wasm file, or the folder of one that was built
    #[arg(add = candidates::any_component())]
    component: String,
}

pub(super) async fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let host = Host::builder().build()?;
    let inspection = host.inspect_component(named_or_here(&host, &arguments.component)?).await?;
    let mut output = Output::new();
    if global.json {
        return output.json(&inspection_json(&inspection));
    }
    write(&mut output, &inspection)?;
    output.flush()
}

/// The component of a name, else what lies here under it.
fn named_or_here(host: &Host, text: &str) -> Result<ComponentRef> {
    let component = ComponentRef::from(text);
    let is_name = matches!(&component, ComponentRef::Name(name)
        if host.list_components()?.components.iter().any(|known| known.name == *name));
    if is_name || !Path::new(text).exists() { Ok(component) } else { Ok(Path::new(text).into()) }
}

fn write(output: &mut Output, inspection: &Inspection) -> Result {
    output.styled(output::BOLD, &inspection.name)?;
    output.text("\n")?;
    field(output, "kind", format_args!("{} (world {})", inspection.kind, inspection.kind.world()))?;
    field(output, "interface", format_args!("wasmlx:runner {}", inspection.interface))?;
    match &inspection.manifest {
        Some(manifest) => {
            field(output, "version", &manifest.version)?;
            if !manifest.description.is_empty() {
                field(output, "description", &manifest.description)?;
            }
        }
        None => field(output, "manifest", "none")?,
    }
    field(output, "from", origin(&inspection.origin))?;
    if let Some(source) = &inspection.source {
        field(output, "source", source)?;
    }
    if let Some(signer) = &inspection.signer {
        field(output, "signed by", &signer.key)?;
        field(output, "", &signer.comment)?;
    }
    field(output, "digest", format_args!("sha256-{}", inspection.digest))?;
    field(output, "size", output::bytes(inspection.size))?;

    heading(output, "imports")?;
    if inspection.imports.is_empty() {
        output.line("  nothing")?;
    }
    for import in &inspection.imports {
        output.line(format_args!("  {import}"))?;
    }
    heading(output, "asks for")?;
    let requests = inspection.manifest.as_ref().map(|manifest| requests(&manifest.requests)).unwrap_or_default();
    if requests.is_empty() {
        output.line("  nothing")?;
    }
    for (name, asked) in &requests {
        field(output, name, asked)?;
    }
    heading(output, "limits")?;
    for (name, limit) in limits(&inspection.limits) {
        field(output, name, limit)?;
    }
    if let Some(card) = &inspection.cost {
        heading(output, "costs")?;
        cost::write(output, card)?;
    }
    Ok(())
}

fn heading(output: &mut Output, text: &str) -> Result {
    output.styled(output::DIM, text)?;
    output.text("\n")
}

/// A line with a name and what belongs to it.
fn field(output: &mut Output, name: &str, value: impl std::fmt::Display) -> Result {
    output.line(format_args!("  {name:<14}  {value}"))
}

fn origin(origin: &ComponentOrigin) -> String {
    match origin {
        ComponentOrigin::BuiltIn => "built in".to_owned(),
        ComponentOrigin::Installed(name) => format!("installed as {name}"),
        ComponentOrigin::File(path) => path.display().to_string(),
        _ => "built just now".to_owned(),
    }
}

/// What it asks for, by the names of grants.
fn requests(requests: &Requests) -> Vec<(&'static str, String)> {
    let lists = [
        ("model", &requests.model),
        ("http", &requests.http),
        ("read", &requests.read),
        ("write", &requests.write),
        ("kv", &requests.kv),
        ("env", &requests.env),
        ("store", &requests.store),
    ];
    let mut asked: Vec<(&str, String)> =
        lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, list.join(", "))).collect();
    asked.extend(requests.tokens.map(|tokens| ("tokens", format!("{tokens} a minute"))));
    asked
}

/// What it may use, a line each.
fn limits(limits: &KindLimits) -> Vec<(&'static str, String)> {
    let KindLimits { memory, instances, table_elements, handles, bytes_per_call, step_operations, .. } = limits;
    let compute = limits.compute.iter().map(|limit| ("compute", format!("{} {}", duration(limit.time), limit.of)));
    let mut lines: Vec<_> = compute.collect();
    if let Some((operations, readings)) = step_operations {
        lines.push(("operations", format!("{operations} on logits a step, {readings} of them readings")));
    }
    lines.push(("memory", format!("{} MiB an instance", memory >> 20)));
    lines.push(("tables", format!("{table_elements} elements each")));
    lines.push(("handles", format!("{handles} an instance")));
    lines.push(("to the host", format!("{} MiB a call", bytes_per_call >> 20)));
    lines.push(("instances", format!("{instances} at once")));
    lines
}

fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds} s"),
        seconds => format!("{} ms", seconds * 1e3),
    }
}

fn inspection_json(inspection: &Inspection) -> Value {
    let manifest = inspection.manifest.as_ref();
    let Requests { model, http, read, write, kv, env, store, tokens, .. } =
        manifest.map(|manifest| manifest.requests.clone()).unwrap_or_default();
    let KindLimits { memory, instances, table_elements, handles, bytes_per_call, step_operations, compute, .. } =
        &inspection.limits;
    let compute: Map<String, Value> =
        compute.iter().map(|limit| (limit.name.to_owned(), json!(limit.time.as_secs_f64() * 1e3))).collect();
    let (from, path) = match &inspection.origin {
        ComponentOrigin::BuiltIn => ("built in", None),
        ComponentOrigin::Installed(_) => ("installed", None),
        ComponentOrigin::File(path) => ("file", Some(path)),
        _ => ("memory", None),
    };
    json!({
        "name": inspection.name, "from": from, "file": path,
        "kind": inspection.kind.to_string(), "world": inspection.kind.world(), "interface": inspection.interface,
        "version": manifest.map(|manifest| &manifest.version),
        "description": manifest.map(|manifest| &manifest.description),
        "digest": format!("sha256-{}", inspection.digest), "bytes": inspection.size, "imports": inspection.imports,
        "requests": {
            "model": model, "http": http, "read": read, "write": write, "kv": kv, "env": env, "store": store,
            "tokens": tokens,
        },
        "limits": {
            "compute_ms": compute, "memory_bytes": memory, "table_elements": table_elements, "handles": handles,
            "bytes_per_call": bytes_per_call, "instances": instances,
            "step_operations": step_operations.map(|(operations, _)| operations),
            "step_readings": step_operations.map(|(_, readings)| readings),
        },
        "cost": cost::json(inspection.cost.as_ref()),
        "source": inspection.source.as_ref().map(source_json),
        "signer": inspection.signer.as_ref().map(signer_json),
    })
}
