//! `wasmlx store import`: a model that lies on this machine is taken into the store.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use wasmlx::{CancelToken, Host, ImportRequest, QuantizeOptions, WorkOptions};

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
    /// A model's folder, a model*.safetensors file with what lies beside it, or a Hugging Face cache
    #[arg(value_name = "FOLDER|FILE|CACHE")]
    path: PathBuf,
    /// Which model of a cache: OWNER/NAME
    model: Option<String>,
    /// What to call it; left out: as its folder is called, or as it is on the hub
    #[arg(long)]
    name: Option<String>,
    /// Quantise the weights to so many bits; a model of the store may be named in place of a folder
    #[arg(long, value_name = "BITS", value_parser = one_of(["4", "8"]))]
    quantize: Option<u32>,
    /// How many weights share a scale: 64 where nothing is said
    #[arg(long, value_name = "N", requires = "quantize", value_parser = one_of(["32", "64", "128"]))]
    group_size: Option<u32>,
}

/// A number that is one of these.
fn one_of<const N: usize>(numbers: [&'static str; N]) -> impl TypedValueParser<Value = u32> {
    PossibleValuesParser::new(numbers).try_map(|number| number.parse::<u32>())
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
    let host = Host::builder().build()?;
    let imported = match arguments.quantize {
        None => host.store().import(request, options).await,
        Some(bits) => {
            let group_size = arguments.group_size.unwrap_or(QuantizeOptions::default().group_size);
            host.import_quantized(request, QuantizeOptions::bits(bits).group_size(group_size), options).await
        }
    };
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
    let (files, size) = (output::counted(manifest.files.len(), "file"), output::bytes(manifest.size()));
    output.line(format_args!("{}: {files}, {size}", manifest.name))?;
    if !global.quiet {
        let shares = [
            (imported.linked, "shared with the originals"),
            (imported.copied, if arguments.quantize.is_some() { "written" } else { "copied" }),
            (imported.known, "in the store already"),
        ];
        for (bytes, how) in shares.into_iter().filter(|(bytes, _)| *bytes > 0) {
            output.line(format_args!("  {} {how}", output::bytes(bytes)))?;
        }
    }
    output.flush()
}
