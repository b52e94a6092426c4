//! `wasmlx component rm`: an installed component goes.

use serde_json::json;
use wasmlx::Host;

use crate::GlobalOptions;
use crate::candidates;
use crate::failure::Result;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Its name, or its digest, of which eight digits are enough
    #[arg(value_name = "NAME|DIGEST", add = candidates::installed_component())]
    component: String,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let removed = Host::builder().build()?.remove_component(&arguments.component)?;
    let mut output = Output::new();
    if global.json {
        return output.json(&json!({"removed": removed}));
    }
    if !global.quiet {
        output.line(format_args!("removed {}", removed.join(", ")))?;
    }
    output.flush()
}
