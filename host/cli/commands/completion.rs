//! `wasmlx completion`: a script that lets a shell complete the command line, by asking this program at each Tab.

use clap::CommandFactory as _;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use wasmlx::ErrorKind;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// The environment variable by which a script asks for candidates; what it holds is the shell.
const VARIABLE: &str = "WASMLX_COMPLETE";

#[derive(Debug, clap::Args)]
#[command(after_help = "In ~/.bashrc:  source <(wasmlx completion bash)\n\
                        In ~/.zshrc, after compinit:  source <(wasmlx completion zsh)\n\
                        In ~/.config/fish/config.fish:  wasmlx completion fish | source")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let (shells, name) = (Shells::builtins(), arguments.shell.to_string());
    let mut script = Vec::new();
    let shell = shells.completer(&name);
    let written = shell.map(|shell| shell.write_registration(VARIABLE, "wasmlx", "wasmlx", "wasmlx", &mut script));
    if !matches!(written, Some(Ok(()))) {
        return Err(Failure::new(ErrorKind::Unsupported, "that shell cannot ask for completions"));
    }
    let mut output = Output::new();
    output.text(&String::from_utf8_lossy(&script))?;
    output.flush()
}

/// Where a shell asks for candidates, prints them and ends the program.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(crate::Arguments::command).var(VARIABLE).complete();
}
