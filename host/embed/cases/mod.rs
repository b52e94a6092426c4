//! A component's own cases, run with no model.
//!
//! Cases lie beside a component in `cases/*.json`, a list of cases a file; `guest-examples/README.md` and
//! `templates/README.md` in the source tree tell their form.

#[cfg(feature = "agents")]
mod agent;
mod case_host;
mod chat;
mod policy;
mod scores;
#[cfg(feature = "agents")]
mod surroundings;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use wasmlx_components::{Component, ComponentKind};

use super::error::{Error, ErrorKind, Result};

/// What a component's cases came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestReport {
    /// The component's name.
    pub component: String,
    /// Which slot it is for, in words: `prompt template`.
    pub kind: String,
    /// Its cases, in the order of the files' names.
    pub cases: Vec<CaseResult>,
}

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseResult {
    /// The file's name.
    pub file: String,
    /// The case's name.
    pub name: String,
    /// Whether it came out as it should.
    pub outcome: CaseOutcome,
}

/// Whether a case came out as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseOutcome {
    /// It did.
    Passed,
    /// It did not. Both are for a person to lay side by side.
    Failed {
        /// What the case says.
        expected: String,
        /// What the component did.
        got: String,
    },
}

impl TestReport {
    /// How many cases came out as they should.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.outcome == CaseOutcome::Passed).count()
    }

    /// How many did not.
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }
}

/// A case: a JSON object with a `name`, whose other fields depend on the world.
pub(crate) type Case = Map<String, Value>;

/// Runs all cases of a folder. Blocks while the component computes.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there are none, [`ErrorKind::InvalidInput`] for files that are no cases.
pub(crate) fn run(component: &Component, folder: &Path) -> Result<TestReport> {
    let mut cases = Vec::new();
    for path in case_files(folder)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (index, case) in read(&path)?.into_iter().enumerate() {
            let name =
                case.get("name").and_then(Value::as_str).map_or_else(|| format!("#{}", index + 1), str::to_owned);
            let invalid = |why: String| {
                Error::new(ErrorKind::InvalidInput, format_args!("{}: the case \"{name}\": {why}", path.display()))
            };
            let outcome = run_case(component, &case).map_err(invalid)?;
            cases.push(CaseResult { file: file.clone(), name, outcome });
        }
    }
    Ok(TestReport { component: component.name().to_owned(), kind: component.kind().to_string(), cases })
}

/// Runs one case; an error says what is wrong with the case itself.
pub(crate) fn run_case(component: &Component, case: &Case) -> std::result::Result<CaseOutcome, String> {
    match component.kind() {
        ComponentKind::Template => template::run(component, case),
        ComponentKind::Policy => policy::run(component, case),
        ComponentKind::Chat => chat::run(component, case),
        #[cfg(feature = "agents")]
        ComponentKind::Agent => agent::run(component, case),
        kind => Err(format!("there are no cases for a {kind}")),
    }
}

impl CaseOutcome {
    /// The first of two that did not come out.
    fn or(self, other: Self) -> Self {
        if self == Self::Passed { other } else { self }
    }

    /// Compares texts for a person.
    fn of(expected: String, got: String) -> Self {
        if expected == got { Self::Passed } else { Self::Failed { expected, got } }
    }

    /// An error was expected whose sentence has `part` in it.
    fn of_error(part: &str, got: std::result::Result<String, String>) -> Self {
        match got {
            Err(error) if error.contains(part) => Self::Passed,
            Err(error) => Self::Failed { expected: format!("error: {part}"), got: format!("error: {error}") },
            Ok(got) => Self::Failed { expected: format!("error: {part}"), got },
        }
    }
}

/// All cases of a folder, in the order of the files' names.
///
/// # Errors
/// As [`run`].
pub(crate) fn all(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for path in case_files(folder)? {
        cases.extend(read(&path)?);
    }
    Ok(cases)
}

fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, &error))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format_args!("{} holds no cases (*.json)", folder.display())));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<Case>> {
    let invalid = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::InvalidInput, format_args!("{} is no list of cases: {why}", path.display()))
    };
    let text = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let cases: Vec<Case> = serde_json::from_slice(&text).map_err(|error| invalid(&error))?;
    // A file that checks nothing would pass for ever.
    if cases.is_empty() { Err(invalid(&"it is empty")) } else { Ok(cases) }
}

/// A field of a case as the type it should have.
fn field<T: serde::de::DeserializeOwned>(case: &Case, name: &str) -> std::result::Result<Option<T>, String> {
    match case.get(name) {
        None => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|error| format!("`{name}`: {error}")),
    }
}

/// What chats and agents run on.
fn runtime() -> std::result::Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// The text of a JSON value over several lines, so that two can be compared line by line.
fn lines(value: &impl serde::Serialize) -> String {
    // What is compared here came of JSON or of plain types, and always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
