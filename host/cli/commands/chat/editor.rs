//! The line editor of `wasmlx chat` in a terminal: history, and completion of commands and file names.

use std::path::{Path, PathBuf};

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};
use wasmlx::ErrorKind;

use super::input::{Input, PROMPT};
use super::slash::COMMANDS;
use crate::failure::{Failure, Result};
use crate::output;

/// Reads lines, with history in a file.
pub(crate) struct LineEditor {
    editor: Editor<Assistant, FileHistory>,
    history: PathBuf,
    is_read_only: bool,
}

/// Lines kept in the history file.
const HISTORY_LENGTH: usize = 1000;

impl LineEditor {
    /// An editor whose history lies in `history`, and is kept there unless that `is_read_only`. What cannot be read there
    /// is left alone and told.
    pub(crate) fn open(history: PathBuf, is_read_only: bool) -> Result<Self> {
        let config =
            Config::builder().auto_add_history(false).max_history_size(HISTORY_LENGTH).map_err(failure)?.build();
        let lines = FileHistory::with_config(&config);
        let mut editor = Editor::with_history(config, lines).map_err(failure)?;
        editor.set_helper(Some(Assistant { files: FilenameCompleter::new() }));
        if history.exists()
            && let Err(error) = editor.load_history(&history)
        {
            output::note(format_args!("note: the history in {} is left out: {error}", history.display()));
        }
        Ok(Self { editor, history, is_read_only })
    }

    /// Waits for a line; blocks.
    pub(super) fn read(&mut self) -> Result<Input> {
        match self.editor.readline(PROMPT) {
            Ok(line) => {
                self.remember(&line);
                Ok(Input::Line(line.replace("\\\n", "\n")))
            }
            Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(error) => Err(failure(error)),
        }
    }

    /// A history that cannot be kept is no reason to end a chat.
    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line).unwrap_or(false);
        if added && !self.is_read_only {
            let folder = self.history.parent().unwrap_or(Path::new("."));
            let kept = std::fs::create_dir_all(folder).is_ok() && self.editor.append_history(&self.history).is_ok();
            if !kept {
                tracing::debug!(path = %self.history.display(), "the history could not be written");
            }
        }
    }
}

fn failure(error: ReadlineError) -> Failure {
    Failure::new(ErrorKind::Io, format_args!("cannot read from the terminal: {error}"))
}

/// Completes commands, and file names after those that take one.
struct Assistant {
    files: FilenameCompleter,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..position];
        if !typed.starts_with('/') {
            return Ok((position, Vec::new()));
        }
        if typed.contains(char::is_whitespace) {
            return self.files.complete_path(line, position);
        }
        let fitting = COMMANDS.iter().filter(|help| help.name.starts_with(typed));
        let pair = |name: &str, arguments: &str| Pair {
            display: name.to_owned(),
            replacement: if arguments.is_empty() { name.to_owned() } else { format!("{name} ") },
        };
        Ok((0, fitting.map(|help| pair(help.name, help.arguments)).collect()))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let unfinished = context.input().ends_with('\\');
        Ok(if unfinished { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Helper for Assistant {}
