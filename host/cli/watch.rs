//! `--watch`: waiting until files change, and going on where something failed.
//!
//! They are looked at several times a second, which costs microseconds for the handful that a component has. It works
//! alike on every system and file system, a network's and a container's too, and however an editor writes: into the
//! file, or into another that then takes its name. What a system tells of files by itself does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

/// How often files are looked at, and how long they must have been at rest.
const INTERVAL: Duration = Duration::from_millis(200);

/// How deep folders lie in one another at the most.
const DEPTH: usize = 16;

/// Folders of what is made of a source, by the tools of the languages here.
const MADE: [&str; 4] = ["target", "node_modules", "zig-out", "__pycache__"];

/// What is looked at of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// All files at one moment.
type Files = BTreeMap<PathBuf, Stamp>;

/// Files under watch.
pub(crate) struct Watch {
    roots: Vec<PathBuf>,
    seen: Files,
}

impl Watch {
    /// Watches files, and folders with all that is in them but what is built there. They need not be there.
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        let seen = look(&roots);
        Self { roots, seen }
    }

    /// Waits until files change, and tells which.
    pub(crate) async fn next(&mut self, global: &GlobalOptions) -> Vec<PathBuf> {
        if !is_silent(global) {
            output::aside("watching; Ctrl-C ends");
        }
        loop {
            tokio::time::sleep(INTERVAL).await;
            let changed = self.settled(global).await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// The files that are different from what they were when this was last asked, at first when the watch began, in the
    /// order of their names; tells which. Waits only for those that are being written.
    pub(crate) async fn settled(&mut self, global: &GlobalOptions) -> Vec<PathBuf> {
        let mut before = None;
        loop {
            let now = look(&self.roots);
            if now == self.seen || before.as_ref() == Some(&now) {
                let changed = difference(&self.seen, &now);
                self.seen = now;
                if !is_silent(global) {
                    tell_changed(&changed);
                }
                return changed;
            }
            before = Some(now);
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn is_silent(global: &GlobalOptions) -> bool {
    global.quiet || global.json
}

/// Says which files changed, the first by its name.
fn tell_changed(changed: &[PathBuf]) {
    if let Some((first, others)) = changed.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        output::aside(format_args!("changed: {}{more}", first.display()));
    }
}

/// Tells what a round came to, where that is not told yet, since a watch goes on after a failure.
///
/// # Errors
/// What nobody can mend by changing a file; Ctrl-C.
pub(crate) fn tell(outcome: Result, global: &GlobalOptions) -> Result {
    match outcome {
        Ok(()) | Err(Failure::Reported) => Ok(()),
        Err(Failure::Failed(error)) if global.json => {
            Output::new().json(&json!({"error": error.to_string(), "hint": error.hint()}))
        }
        Err(failure @ Failure::Failed(_)) => {
            failure.report();
            Ok(())
        }
        Err(failure @ (Failure::Usage(_) | Failure::Interrupted | Failure::ReaderGone)) => Err(failure),
    }
}

/// The files that are in one but not in the other, or not the same.
fn difference(one: &Files, other: &Files) -> Vec<PathBuf> {
    let all: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    all.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

/// Which file of a source was changed last, and when. Cases and documents are no source.
pub(crate) fn last_change(folder: &Path) -> Option<(PathBuf, SystemTime)> {
    let cases = folder.join("cases");
    let is_source = |path: &PathBuf| !path.starts_with(&cases) && path.extension().is_none_or(|end| end != "md");
    let files = look(&[folder.to_path_buf()]).into_iter().filter(|(path, _)| is_source(path));
    files.filter_map(|(path, stamp)| Some((path, stamp.modified?))).max_by_key(|(_, changed)| *changed)
}

/// What is there now. What cannot be read is not there, which changes when it can.
fn look(roots: &[PathBuf]) -> Files {
    let mut files = Files::new();
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => enter(root, 0, &mut BTreeSet::new(), &mut files),
            Ok(metadata) => drop(files.insert(root.clone(), Stamp::of(&metadata))),
            Err(_) => {}
        }
    }
    files
}

/// Looks at all files in a folder. Links lead where they point, but not to the same folder twice.
fn enter(folder: &Path, depth: usize, entered: &mut BTreeSet<PathBuf>, files: &mut Files) {
    let is_new = fs::canonicalize(folder).is_ok_and(|folder| entered.insert(folder));
    let entries = if is_new && depth <= DEPTH { fs::read_dir(folder).ok() } else { None };
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        // One that goes meanwhile is gone.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        match metadata.is_dir() {
            _ if is_made(&path, &metadata) => {}
            true => enter(&path, depth + 1, entered, files),
            false => drop(files.insert(path, Stamp::of(&metadata))),
        }
    }
}

/// Whether something in a folder is no source: built there, hidden, or an editor's.
fn is_made(path: &Path, metadata: &Metadata) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') {
        return true;
    }
    if metadata.is_dir() {
        return MADE.contains(&&*name);
    }
    // Cargo writes its lock file as it builds.
    name == "Cargo.lock" || [".wasm", ".partial", "~"].into_iter().any(|end| name.ends_with(end))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of files that are different before and after something is done to a folder.
    fn changed_by(folder: &Path, change: impl FnOnce()) -> Vec<String> {
        let roots = [folder.to_path_buf()];
        let before = look(&roots);
        change();
        let changed = difference(&before, &look(&roots));
        changed.iter().map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect()
    }

    #[test]
    fn sources_count_and_what_is_made_of_them_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str| {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), name).unwrap();
        };
        let made = ["target/a.o", ".git/HEAD", "node_modules/x/y.js", "a.wasm", "Cargo.lock", "a.c~", ".a.c.swp"];
        assert_eq!(changed_by(folder.path(), || made.iter().for_each(|name| write(name))), [""; 0]);
        let sources = ["cases/a.json", "component.c", "src/deep/er/lib.rs"];
        assert_eq!(changed_by(folder.path(), || sources.iter().for_each(|name| write(name))), sources);
        assert_eq!(changed_by(folder.path(), || fs::remove_dir_all(path("src")).unwrap()), ["src/deep/er/lib.rs"]);
    }

    #[test]
    fn a_file_that_takes_anothers_name_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("component.c"), "one").unwrap();
        let changed = changed_by(folder.path(), || {
            fs::write(path(".component.c.new"), "three").unwrap();
            fs::rename(path(".component.c.new"), path("component.c")).unwrap();
        });
        assert_eq!(changed, ["component.c"]);
    }

    #[test]
    fn a_watched_file_is_watched_whatever_its_name_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let changed_by = |change: &dyn Fn()| {
            let before = look(std::slice::from_ref(&file));
            change();
            difference(&before, &look(std::slice::from_ref(&file)))
        };
        assert_eq!(changed_by(&|| fs::write(&file, "a").unwrap()), std::slice::from_ref(&file));
        assert_eq!(changed_by(&|| fs::remove_file(&file).unwrap()), std::slice::from_ref(&file));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_loops_are_not() {
        use std::os::unix::fs::symlink;

        let [folder, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        symlink(other.path(), folder.path().join("cases")).unwrap();
        symlink(folder.path(), other.path().join("back")).unwrap();
        let changed = changed_by(folder.path(), || fs::write(other.path().join("a.json"), "[]").unwrap());
        assert_eq!(changed, ["cases/a.json"]);
    }
}
