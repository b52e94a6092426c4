//! The lines of `wasmlx chat`: from an editor where somebody types and looks, else plainly.

use std::io::{self, BufRead, Write as _};
use std::path::PathBuf;

use wasmlx::ErrorKind;

use super::editor::LineEditor;
use crate::failure::{Failure, Result};

/// What stands before a line that is typed.
pub(super) const PROMPT: &str = "> ";

/// What the user did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line. Where one ends in a backslash the next belongs to it.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of a pipe.
    End,
}

/// Where lines come from.
pub(super) enum Lines {
    /// A terminal with an editor, which writes to stdout too.
    Editor(Box<LineEditor>),
    /// Stdin as it is; `prompted`: somebody types them.
    Plain { prompted: bool },
}

impl Lines {
    /// An editor whose history lies in this file, and is kept there unless that is read-only.
    pub(super) fn edited(history: PathBuf, is_read_only: bool) -> Result<Self> {
        Ok(Self::Editor(Box::new(LineEditor::open(history, is_read_only)?)))
    }

    /// Waits for a line.
    pub(super) async fn read(self) -> Result<(Self, Input)> {
        // On a thread of its own, so that signals are heard meanwhile.
        let read = tokio::task::spawn_blocking(move || {
            let mut lines = self;
            let input = lines.read_blocking()?;
            Ok((lines, input))
        });
        read.await.map_err(|error| Failure::new(ErrorKind::Io, format_args!("reading lines failed: {error}")))?
    }

    fn read_blocking(&mut self) -> Result<Input> {
        match self {
            Self::Editor(editor) => editor.read(),
            Self::Plain { prompted } => {
                let prompt = || {
                    if *prompted {
                        // Stdout is for answers alone. Where stderr is closed nobody waits for a prompt.
                        let _ = io::stderr().write_all(PROMPT.as_bytes());
                    }
                };
                read_plain(&mut io::stdin().lock(), prompt).map_err(|error| {
                    Failure::new(ErrorKind::InvalidInput, format_args!("cannot read the next line: {error}"))
                })
            }
        }
    }
}

/// A line with those that belong to it.
fn read_plain(source: &mut impl BufRead, prompt: impl Fn()) -> io::Result<Input> {
    let mut text = String::new();
    loop {
        prompt();
        let mut line = String::new();
        if source.read_line(&mut line)? == 0 {
            return Ok(if text.is_empty() { Input::End } else { Input::Line(text) });
        }
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.strip_suffix('\\') {
            Some(first) => {
                text.push_str(first);
                text.push('\n');
            }
            None => {
                text.push_str(line);
                return Ok(Input::Line(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_joins_lines() {
        let mut source = "one\r\n\ntwo\\\nthree\\\n four\nlast".as_bytes();
        let mut read = || read_plain(&mut source, || {}).unwrap();
        for line in ["one", "", "two\nthree\n four", "last"] {
            assert_eq!(read(), Input::Line(line.to_owned()));
        }
        assert_eq!(read(), Input::End);
    }

    #[test]
    fn a_text_that_ends_within_a_line_is_a_line() {
        let mut source = "one\\\n".as_bytes();
        assert_eq!(read_plain(&mut source, || {}).unwrap(), Input::Line("one\n".to_owned()));
        assert_eq!(read_plain(&mut source, || {}).unwrap(), Input::End);
    }
}
