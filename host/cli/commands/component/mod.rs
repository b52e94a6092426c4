//! `wasmlx component`: begin, build, look into, install and replace components.

mod add;
mod build;
mod inspect;
mod list;
mod new;
mod rm;
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
    /// Look into a component: what it is, what it asks for, what it may do; nothing of it is run
    Inspect(inspect::Arguments),
    /// Install a component, once its own cases pass: from then on its name serves like a built-in one's
    Add(add::Arguments),
    /// List the components that have names: built in, and installed
    List,
    /// Remove an installed component
    Rm(rm::Arguments),
}

impl Component {
    /// Does it.
    pub(crate) async fn run(self, global: &GlobalOptions) -> Result {
        match self {
            Self::New(arguments) => new::run(&arguments, global),
            Self::Build(arguments) => build::run(&arguments, global).await,
            Self::Inspect(arguments) => inspect::run(&arguments, global).await,
            Self::Add(arguments) => add::run(arguments, global).await,
            Self::List => list::run(global),
            Self::Rm(arguments) => rm::run(&arguments, global),
        }
    }
}
