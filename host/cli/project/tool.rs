//! Other people's programs that build components: where they are, how to get them, running them.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wasmlx::ErrorKind;

use super::{Language, failed};
use crate::failure::{Failure, Result};
use crate::output;

/// The program of a name that PATH has.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
        .find(|path| path.is_file())
}

/// Python with arguments that start a module, if Python has the module.
pub(super) fn python(module: &str, arguments: &[&str]) -> Option<Command> {
    let python = || on_path("python3").or_else(|| on_path("python")).map(Command::new);
    let probe = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec({module:?}) is None)");
    let has_it = python()?.args(["-c", &probe]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = python()?;
    command.args(arguments);
    Some(command)
}

/// That the program is not there which builds components in a language, and the command that installs it.
pub(super) fn missing(name: &str, language: Language) -> Failure {
    failed(
        ErrorKind::NotFound,
        format_args!("{name} is not installed, which builds components in {language}"),
        format_args!("`{}`", language.install()),
    )
}

/// Runs a program, whose messages go to stderr as they come, and gives what it prints on stdout.
///
/// # Errors
/// `InvalidComponent`, with `hint`, where it does not succeed.
pub(super) fn run(command: &mut Command, hint: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ran = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot run {program}: {error}")))?;
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        if !printed.trim().is_empty() {
            output::note(printed.trim_end());
        }
        return Err(failed(
            ErrorKind::InvalidComponent,
            format_args!("the component does not build: {program} failed"),
            hint,
        ));
    }
    Ok(printed)
}
