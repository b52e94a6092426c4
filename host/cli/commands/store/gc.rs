//! `wasmlx store gc`: files that no model needs are removed.

use serde_json::json;
use wasmlx::Host;

use super::{swept_words, tell_hindered};
use crate::GlobalOptions;
use crate::failure::Result;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also what pulls and imports have brought that were cut short, and that no process works at
    #[arg(long)]
    unfinished: bool,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let removed = Host::builder().build()?.store().collect_garbage(arguments.unfinished)?;
    let mut output = Output::new();
    if global.json {
        let (files, bytes) = (removed.swept.files, removed.swept.bytes);
        output.json(&json!({"abandoned": removed.names, "files": files, "bytes_freed": bytes}))?;
    } else {
        for name in &removed.names {
            output.line(format_args!("abandoned {name}"))?;
        }
        output.line(swept_words(&removed.swept))?;
        output.flush()?;
    }
    tell_hindered(&removed.swept)
}
