//! The commands, one file each.

mod bench;
mod chat;
mod completion;
mod component;
mod debug_report;
mod doctor;
#[cfg(feature = "hub")]
mod pull;
mod run;
#[cfg(feature = "hub")]
mod search;
mod store;
mod template;
mod test;

use clap::Subcommand;

use crate::GlobalOptions;
use crate::failure::Result;

pub(crate) use completion::answer_shell;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer one prompt, streamed
    Run(run::Arguments),
    /// Talk with a model, many turns
    Chat(chat::Arguments),
    /// Measure prefill and decode rates, time to first token, memory and the price of components
    Bench(bench::Arguments),
    /// The models on this machine: list, import, check and remove them
    #[command(subcommand, after_help = store::NAMES)]
    Store(store::Store),
    /// Fetch a model from the hub, or bring it up to date
    #[cfg(feature = "hub")]
    Pull(pull::Arguments),
    /// Find models: on the hub, in the store, in the catalogue
    #[cfg(feature = "hub")]
    Search(search::Arguments),
    /// Render conversations with a prompt template
    #[command(subcommand)]
    Template(template::Template),
    /// Begin, build, look into and install components
    #[command(subcommand)]
    Component(component::Component),
    /// Run a component's own cases; needs no model
    Test(test::Arguments),
    /// Say whether this machine is fit, and what to do where it is not
    Doctor,
    /// Print everything that a maintainer asks for, secrets left out
    DebugReport,
    /// Print a completion script for a shell
    Completion(completion::Arguments),
    /// Compile the component on stdin for a host that runs: what `run` and `chat` start for a swap
    #[command(hide = true)]
    CompileComponent,
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self, global: &GlobalOptions) -> Result {
        match self {
            Self::Run(arguments) => run::run(arguments, global).await,
            Self::Chat(arguments) => chat::run(arguments, global).await,
            Self::Bench(arguments) => bench::run(arguments, global).await,
            Self::Store(store) => store.run(global).await,
            #[cfg(feature = "hub")]
            Self::Pull(arguments) => pull::run(arguments, global).await,
            #[cfg(feature = "hub")]
            Self::Search(arguments) => search::run(arguments, global).await,
            Self::Template(template) => template.run(global),
            Self::Component(component) => component.run(global).await,
            Self::Test(arguments) => test::run(&arguments, global).await,
            Self::Doctor => doctor::run(global).await,
            Self::DebugReport => debug_report::run(global).await,
            Self::Completion(arguments) => completion::run(&arguments),
            Self::CompileComponent => Ok(wasmlx::compile_component(std::io::stdin().lock(), std::io::stdout().lock())?),
        }
    }
}
