//! `wasmlx store path`: where a model lies.

use serde_json::json;
use wasmlx::Host;

use crate::GlobalOptions;
use crate::candidates;
use crate::failure::Result;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model; left out, the store
    #[arg(add = candidates::model())]
    model: Option<String>,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let host = Host::builder().build()?;
    let path = match &arguments.model {
        Some(model) => host.model_folder(Some(model))?,
        None => host.home().to_path_buf(),
    };
    let mut output = Output::new();
    match global.json {
        true => output.json(&json!({"path": path}))?,
        false => output.line(path.display())?,
    }
    output.flush()
}
