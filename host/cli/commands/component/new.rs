//! `wasmlx component new`: a folder with a component that builds and passes its cases.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;
use wasmlx::ErrorKind;

use super::scaffold::{self, Kind};
use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::project::{self, Language};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The language to write it in
    #[arg(long, value_enum)]
    lang: Language,
    /// What it is for: writing prompts, choosing tokens, running chats, or a program of its own with models at hand
    #[arg(long, value_enum)]
    kind: Kind,
    /// The folder to make; its last part is the component's name
    name: PathBuf,
}

pub(super) fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let folder = &arguments.name;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_name(name) {
        return Err(Failure::Usage(format!(
            "`{}` gives no name to a component: it begins with a letter, and has letters, digits, `-` and `_`",
            folder.display()
        )));
    }
    let files = scaffold::files(arguments.lang, arguments.kind, name);
    write(folder, &files)?;

    let mut output = Output::new();
    if global.json {
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        return output.json(&json!({"folder": folder, "name": name, "files": names}));
    }
    let kind = arguments.kind.to_possible_value().map(|kind| kind.get_name().to_owned()).unwrap_or_default();
    let article = if arguments.kind == Kind::Agent { "an" } else { "a" };
    output.line(format_args!("{}: {article} {kind} in {}, {} files", folder.display(), arguments.lang, files.len()))?;
    if !global.quiet {
        output.line(format_args!("next: wasmlx component build {0} && wasmlx test {0}", folder.display()))?;
    }
    output.flush()
}

/// A name that Cargo takes too.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 64
        && name.chars().all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

/// Writes the files into a folder that is made now; nothing is left of it where that fails.
fn write(folder: &Path, files: &[(String, String)]) -> Result {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| project::cannot("make", parent, &error))?;
    }
    fs::create_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            ErrorKind::InvalidInput,
            format_args!("{} is there already; choose another name", folder.display()),
        ),
        _ => project::cannot("make", folder, &error),
    })?;
    let write = |(name, text): &(String, String)| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| project::cannot("write", &path, &error))
    };
    files.iter().try_for_each(write).inspect_err(|_| {
        // It was made a moment ago; that it cannot be removed either is no second error.
        let _ = fs::remove_dir_all(folder);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_tool_takes() {
        for name in ["a", "min-p", "My_2nd"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "2nd", "-a", "a b", "é", ".."] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), &[("a".to_owned(), String::new())]).is_err());
        assert!(folder.path().is_dir() && !folder.path().join("a").exists());
    }
}
