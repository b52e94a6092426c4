//! How files open, how long they may be, and what must not stand in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A source file that has more lines says why on top.
const MOST_LINES: usize = 800;

/// The words by which a file says so.
const REASON: &str = "long because";

/// Folders that hold nothing of ours: builds, and what other tools keep.
const SKIPPED: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// Kinds of files that are read: those people write.
const READ: [&str; 14] = ["c", "cpp", "h", "html", "js", "json", "md", "py", "rs", "sh", "toml", "wit", "yml", "zig"];

/// Where people's own files lie on the machines they work on: a path into one means nothing elsewhere.
const OWN_FOLDERS: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];

/// A sentence for each breach in the files under `root`.
pub(super) fn faults(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    let mut faults = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(&path);
        faults.extend(faults_of(name, &text).into_iter().map(|fault| format!("{}{fault}", name.display())));
    }
    Ok(faults)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        // Of the hidden folders only `.ci`, `.cargo` and `.github` are ours.
        let hidden = name.starts_with('.') && ![".ci", ".cargo", ".github"].contains(&&*name);
        if kind.is_dir() && !hidden && !SKIPPED.contains(&&*name) {
            collect(&path, paths)?;
        } else if kind.is_file() && path.extension().is_some_and(|kind| READ.iter().any(|read| kind == *read)) {
            paths.push(path);
        }
    }
    Ok(())
}

/// The breaches in one file, each as what follows its name.
fn faults_of(name: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.extension().is_some_and(|kind| kind == "rs") {
        if !text.starts_with("//!") {
            faults.push(": opens without `//!`, a line on what the file is".to_string());
        }
        let header = text.lines().take_while(|line| line.starts_with("//!"));
        let lines = text.lines().count();
        if lines > MOST_LINES && !header.collect::<String>().contains(REASON) {
            faults.push(format!(": has {lines} lines; above {MOST_LINES}, its header says \"{REASON} ...\""));
        }
    }
    for (number, line) in text.lines().enumerate() {
        let mut breach = |what: &str| faults.push(format!(":{}: {what}", number + 1));
        if marks_without_issue(line) {
            breach("a mark of work to be done names no issue, as (#12)");
        }
        if let Some(folder) = OWN_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
            breach(&format!("a path under {folder} means nothing on another machine"));
        }
    }
    faults
}

/// Whether a line has the usual word for work to be done, without an issue's number right after it.
fn marks_without_issue(line: &str) -> bool {
    // Written in two parts so that this file has no such word itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
    words.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_some_and(char::is_alphanumeric);
            let rest = &line[at + word.len()..];
            let after = rest.chars().next().is_some_and(char::is_alphanumeric);
            let number =
                rest.strip_prefix("(#").is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
            !before && !after && !number
        })
    })
}

/// Whether a line has a path that starts with this folder. A list of such folders, as above, names nothing in them.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        // A longer path or an address may hold the same word further in.
        before.is_none_or(|before| !before.is_alphanumeric() && !"./_-~}$*".contains(before))
            && after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Vec<String> {
        faults_of(Path::new(name), text)
    }

    #[test]
    fn rust_files_open_with_what_they_are() {
        assert_eq!(of("a.rs", "//! A file.\n"), [""; 0]);
        assert_eq!(of("a.rs", "use std::fs;\n").len(), 1);
        assert_eq!(of("a.rs", "").len(), 1);
        assert_eq!(of("a.py", "import os\n"), [""; 0]);
    }

    #[test]
    fn long_files_say_why() {
        let long = "let x = 1;\n".repeat(800);
        assert_eq!(of("a.rs", &format!("//! A file.\n{long}")).len(), 1);
        assert_eq!(of("a.rs", &format!("//! A file, long because it is.\n{long}")), [""; 0]);
    }

    #[test]
    fn work_to_be_done_names_its_issue() {
        let word = concat!("TO", "DO");
        assert_eq!(
            of("a.md", &format!("one\n{word}: more\n")),
            [":2: a mark of work to be done names no issue, as (#12)"]
        );
        assert_eq!(of("a.md", &format!("{word}(#12): more\n")), [""; 0]);
        assert_eq!(of("a.md", &format!("m{}thing and {word}s\n", word.to_lowercase())), [""; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for folder in OWN_FOLDERS {
            assert_eq!(of("a.toml", &format!("at = \"{folder}me/x\"\n")).len(), 1, "{folder}");
            assert_eq!(of("a.toml", &format!("at = \"./sub{folder}me/x\"\n")), [""; 0], "{folder}");
        }
    }

    #[test]
    fn builds_and_hidden_folders_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["target", ".hidden", "host"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("a.rs"), "no header\n").unwrap();
        }
        assert_eq!(faults(root.path()).unwrap().len(), 1);
    }
}
