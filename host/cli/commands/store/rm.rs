//! `wasmlx store rm`: models are removed.

use serde_json::json;
use wasmlx::Host;

use super::{swept_words, tell_hindered};
use crate::GlobalOptions;
use crate::candidates;
use crate::failure::Result;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The models; where one of them is not there none is removed
    #[arg(required = true, value_name = "MODEL", add = candidates::removable_model())]
    models: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let removed = Host::builder().build()?.store().remove(&arguments.models)?;
    let mut output = Output::new();
    if global.json {
        let (files, bytes) = (removed.swept.files, removed.swept.bytes);
        output.json(&json!({"removed": removed.names, "files": files, "bytes_freed": bytes}))?;
    } else {
        for name in &removed.names {
            output.line(format_args!("removed {name}"))?;
        }
        if !global.quiet {
            output.line(swept_words(&removed.swept))?;
        }
        output.flush()?;
    }
    tell_hindered(&removed.swept)
}
