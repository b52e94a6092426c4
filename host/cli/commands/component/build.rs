//! `wasmlx component build`: from source to a component that this host has loaded once.

use std::path::PathBuf;

use serde_json::json;
use wasmlx::Host;

use crate::GlobalOptions;
use crate::failure::Result;
use crate::output::{self, Output};
use crate::project::{Built, Project};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The component's folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Where to write the component; left out: NAME.wasm in its folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let project = Project::open(&arguments.path)?;
    let (name, language) = (project.name(), project.language());
    if !global.quiet && !global.json {
        output::aside(format_args!("building {name} ({language})"));
    }
    let host = Host::builder().build()?;
    let Built { file, kind, bytes, time } = Built::make(project, &host, arguments.output.clone()).await?;
    let mut output = Output::new();
    if global.json {
        return output.json(&json!({
            "file": file, "name": name, "kind": kind.to_string(), "language": language.to_string(),
            "bytes": bytes, "build_ms": time.as_secs_f64() * 1e3,
        }));
    }
    let size = output::bytes(bytes as u64);
    output.line(format_args!("{}: {kind}, {size}, built in {:.1} s", file.display(), time.as_secs_f64()))?;
    output.flush()
}
