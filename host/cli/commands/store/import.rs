//! `wasmlx store import`: a model that lies on this machine is taken into the store.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use wasmlx::{CancelToken, Host, ImportRequest, WorkOptions};

use crate::GlobalOptions;
use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::output::{self, Output};
use crate::progress::Bars;

#[derive(Debug, clap::Args)]
#[command(after_help = "Files share their bytes with the originals where the disk can do that: as clones, else large \
                        ones by hard links, else they are copied. The originals and their modes stay as they are. Do not \
                        change a large file in place afterwards; `wasmlx store verify` tells where that was done.")]
pub(crate) struct Arguments {
    /// A model's folder, a .safetensors file with what lies beside it, or a Hugging Face cache
    #[arg(value_name = "FOLDER|FILE|CACHE")]
    path: PathBuf,
    /// Which model of a cache: OWNER/NAME
    model: Option<String>,
    /// What to call it; left out: as its folder is called, or as it is on the hub
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let mut request = ImportRequest::new(arguments.path);
    if let Some(model) = arguments.model {
        request = request.model(model);
    }
    if let Some(name) = arguments.name {
        request = request.name(name);
    }
    let (interrupt, cancel, bars) = (Interrupt::listen(), CancelToken::new(), Arc::new(Bars::new(global)));
    let (token, shown) = (cancel.clone(), Arc::clone(&bars));
    let _guard = interrupt.guard(move || token.cancel());
    let options = WorkOptions::new().cancel(cancel).progress(move |progress| shown.update(progress));
    let imported = Host::builder().build()?.store().import(request, options).await;
    drop(bars);
    let imported = imported?;

    let mut output = Output::new();
    let manifest = &imported.manifest;
    if global.json {
        return output.json(&json!({
            "name": manifest.name.to_string(), "files": manifest.files.len(), "bytes": manifest.size(),
            "bytes_shared": imported.linked, "bytes_copied": imported.copied, "bytes_known": imported.known,
        }));
    }
    let (count, size) = (manifest.files.len(), output::bytes(manifest.size()));
    output.line(format_args!("{}: {count} files, {size}", manifest.name))?;
    if !global.quiet {
        let shares = [
            (imported.linked, "shared with the originals"),
            (imported.copied, "copied"),
            (imported.known, "in the store already"),
        ];
        for (bytes, how) in shares.into_iter().filter(|(bytes, _)| *bytes > 0) {
            output.line(format_args!("  {} {how}", output::bytes(bytes)))?;
        }
    }
    output.flush()
}
