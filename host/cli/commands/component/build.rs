//! `wasmlx component build`: from source to a component that this host has loaded once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use wasmlx::{ComponentRef, Host};

use crate::GlobalOptions;
use crate::failure::Result;
use crate::output::{self, Output};
use crate::project::{self, Project};

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
    let started = Instant::now();
    let bytes = project.build()?;
    let took = started.elapsed();
    let host = Host::builder().build()?;
    let kind = host.check_component(ComponentRef::Bytes { name: name.clone(), bytes: bytes.as_slice().into() }).await?;

    let own = || project.folder().join(&name).with_added_extension("wasm");
    let file = arguments.output.clone().unwrap_or_else(own);
    write_whole(&file, &bytes)?;
    let mut output = Output::new();
    if global.json {
        return output.json(&json!({
            "file": file, "name": name, "kind": kind.to_string(), "language": language.to_string(),
            "bytes": bytes.len(), "build_ms": took.as_secs_f64() * 1e3,
        }));
    }
    let size = output::bytes(bytes.len() as u64);
    output.line(format_args!("{}: {kind}, {size}, built in {:.1} s", file.display(), took.as_secs_f64()))?;
    output.flush()
}

/// Writes a file that is never seen half-written.
fn write_whole(path: &Path, bytes: &[u8]) -> Result {
    let partial = path.with_added_extension("partial");
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        // What could not be written may not be there to be removed either.
        let _ = fs::remove_file(&partial);
        project::cannot("write", path, &error)
    })
}
