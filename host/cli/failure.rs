//! How a command ends when it does not succeed, and how that is told.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use wasmlx::ErrorKind;

/// The exit code of a program that SIGINT ended, by the shells' convention.
pub(crate) const INTERRUPTED: u8 = 130;

/// A command's result.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was used wrongly: exit code 2.
    Usage(String),
    /// Something failed: exit code 1.
    Failed(wasmlx::Error),
    /// What there is to say has been said: exit code 1.
    Reported,
    /// Ctrl-C ended it: exit code 130.
    Interrupted,
    /// The reader of our output is gone (`wasmlx run | head -1`), which is no failure.
    ReaderGone,
}

impl Failure {
    /// Something failed that is not the library's business.
    pub(crate) fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        Self::Failed(wasmlx::Error::new(kind, message))
    }

    /// Tells the user on stderr, and turns into the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (message, hint, code) = match self {
            Self::Usage(message) => (message.clone(), Some("see `wasmlx help`"), 2),
            Self::Failed(error) => (error.to_string(), error.hint(), 1),
            Self::Reported => return ExitCode::from(1),
            Self::Interrupted => return ExitCode::from(INTERRUPTED),
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        let mut stderr = anstream::stderr();
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let bold = Style::new().bold();
        // Where stderr itself is closed, the exit code has to do.
        let _ = writeln!(stderr, "{red}error:{red:#} {message}");
        if let Some(hint) = hint {
            let _ = writeln!(stderr, " {bold}hint:{bold:#} {hint}");
        }
        ExitCode::from(code)
    }
}

impl From<wasmlx::Error> for Failure {
    fn from(error: wasmlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// Of writing to stdout; whoever does anything else with a file says what it was.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(ErrorKind::Io, format_args!("cannot write the output: {error}")),
        }
    }
}
