//! `wasmlx store`: the models on this machine.

mod bind;
mod gc;
mod import;
mod list;
mod path;
mod rm;
mod show;
mod verify;

use clap::Subcommand;
use wasmlx::Swept;

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::output;

/// What models are called.
pub(super) const NAMES: &str = "A model from the hub is named OWNER/NAME, an imported one NAME, followed by :REVISION \
                                where that is not the main one. The last part alone will do where only one model has \
                                it. A folder is meant by ./NAME.";

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// List the models
    List,
    /// Show what a model is made of, where it came from, and what it is bound to
    Show(show::Arguments),
    /// Remove models, and the files that no other model needs
    Rm(rm::Arguments),
    /// Take a model that lies on this machine into the store
    Import(import::Arguments),
    /// Hash every file and say what is not as it should be
    Verify,
    /// Remove files that no model needs
    Gc(gc::Arguments),
    /// Print the folder of a model, which mlx-lm and others can load, or that of the store
    Path(path::Arguments),
    /// Bind a model to components, a system prompt and sampling parameters of its own
    Bind(bind::Arguments),
}

impl Store {
    /// Does it.
    pub(crate) async fn run(self, global: &GlobalOptions) -> Result {
        match self {
            Self::List => list::run(global),
            Self::Show(arguments) => show::run(&arguments, global),
            Self::Rm(arguments) => rm::run(&arguments, global),
            Self::Import(arguments) => import::run(arguments, global).await,
            Self::Verify => verify::run(global).await,
            Self::Gc(arguments) => gc::run(&arguments, global),
            Self::Path(arguments) => path::run(&arguments, global),
            Self::Bind(arguments) => bind::run(arguments, global),
        }
    }
}

/// Says why files could not be removed.
fn tell_hindered(swept: &Swept) -> Result {
    if swept.hindered.is_empty() {
        return Ok(());
    }
    for why in &swept.hindered {
        Failure::new(wasmlx::ErrorKind::InvalidModel, why).report();
    }
    output::note("No file was removed, since it is not known which of them the models above need.");
    Err(Failure::Reported)
}

/// `2 files, 4.3 GB freed`.
fn swept_words(swept: &Swept) -> String {
    format!("{} removed, {} freed", output::counted(swept.files, "file"), output::bytes(swept.bytes))
}
