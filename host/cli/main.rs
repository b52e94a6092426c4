//! The `wasmlx` program: a thin layer of arguments and output over the library.

mod answer;
mod candidates;
mod commands;
mod cost;
mod difference;
mod failure;
mod guest;
mod interrupt;
mod options;
mod output;
mod progress;
mod project;
mod slots;
mod statistics;
mod tools;
mod watch;
mod watched;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{ArgAction, Parser, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use wasmlx::ErrorKind;

use commands::Command;
use failure::Failure;

/// Run language models on this machine. How a prompt is written, how the next token is chosen and how a chat runs
/// are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "wasmlx", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "WASMLX_HOME names the folder that holds everything the program writes.\n\
                        RUST_LOG=debug (or TARGET=LEVEL,...) shows what it does, on stderr.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalOptions,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GlobalOptions {
    /// Print one JSON object (or one a line where the command streams), and nothing else, on stdout
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// When to use colours; NO_COLOR and CLICOLOR are honoured too
    #[arg(long, global = true, help_heading = "Output", value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    color: Colour,
    /// Say more; twice: still more
    #[arg(short, long, global = true, help_heading = "Output", action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

fn main() -> ExitCode {
    commands::answer_shell();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Where the reader is gone, the exit code has to do.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn start(arguments: Arguments) -> failure::Result {
    match arguments.global.color {
        // Where `CI` is set, anstream by itself would send colours to a terminal that says it has none.
        Colour::Auto if is_dumb_terminal() => anstream::ColorChoice::Never.write_global(),
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    start_logging(&arguments.global)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot start: {error}")))?;
    let result = runtime.block_on(arguments.command.run(&arguments.global));
    // What is still under way (a load that was broken off) ends with the process.
    runtime.shutdown_background();
    result
}

/// Whether the terminal says that it knows no escape codes, and nobody insists on them.
pub(crate) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb") && std::env::var_os("CLICOLOR_FORCE").is_none()
}

/// Logs go to stderr: what RUST_LOG names, else warnings, with `-v` progress, with `-vv` details.
fn start_logging(options: &GlobalOptions) -> failure::Result {
    let targets = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => text
            .parse::<Targets>()
            .map_err(|error| Failure::Usage(format!("RUST_LOG={text}: {error}; write LEVEL or TARGET=LEVEL,...")))?,
        _ => {
            let level = match (options.quiet, options.verbose) {
                (true, _) => LevelFilter::ERROR,
                (false, 0) => LevelFilter::WARN,
                (false, 1) => LevelFilter::INFO,
                (false, _) => LevelFilter::DEBUG,
            };
            Targets::new().with_target("wasmlx", level)
        }
    };
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(std::io::stderr().is_terminal())
        // A call into a component is a span; it is written once it is over, with what it came to.
        .with_span_events(FmtSpan::CLOSE)
        .without_time();
    tracing_subscriber::registry().with(targets).with(format).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
