//! `wasmlx component`: begin, build, look into, install and replace components.

mod build;
mod new;
mod scaffold;

use clap::Subcommand;

use crate::GlobalOptions;
use crate::failure::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Component {
    /// Begin a component: a folder with code that builds, cases that pass, and the interfaces
    New(new::Arguments),
    /// Build a component from its source
    Build(build::Arguments),
}

impl Component {
    /// Does it.
    pub(crate) async fn run(self, global: &GlobalOptions) -> Result {
        match self {
            Self::New(arguments) => new::run(&arguments, global),
            Self::Build(arguments) => build::run(&arguments, global).await,
        }
    }
}
