//! A component's own cases, run with no model.
//!
//! Cases lie beside a component in `cases/*.json`, a list of cases a file, and a recorded run each in
//! `cases/*.cassette.json`; `guest-examples/README.md` and `templates/README.md` in the source tree tell their form.

#[cfg(feature = "agents")]
mod agent;
mod case_host;
mod cassette;
mod chat;
mod draws;
mod policy;
mod rewrite;
mod scores;
mod statistics;
#[cfg(feature = "agents")]
mod surroundings;
mod template;

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use wasmlx_components::{Component, ComponentKind};
use wasmlx_engine::CancelToken;

use super::error::{Error, ErrorKind, Result};
use super::model::Model;
use cassette::Cassette;

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
    /// The files of the runs that were recorded, where that was asked for.
    pub recorded: Vec<String>,
    /// The cases that were written anew, where that was asked for: file and name.
    pub updated: Vec<(String, String)>,
}

/// What is done besides running cases.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TestOptions {
    record: bool,
    update: bool,
    cancel: CancelToken,
}

impl TestOptions {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs what the component's cassettes say on the built-in model first, and keeps what happens. That needs a device.
    pub fn record(self, record: bool) -> Self {
        Self { record, ..self }
    }

    /// Writes what the component does into the cases that do not come out, in the place of what they expect. What cannot
    /// be expected stays failed: an error where none is named, calls that are others than was recorded.
    pub fn update(self, update: bool) -> Self {
        Self { update, ..self }
    }

    /// Breaks the cases off once this token is cancelled: the folders that agents were given are removed, and the error
    /// is of the kind [`ErrorKind::Cancelled`].
    pub fn cancel(self, token: CancelToken) -> Self {
        Self { cancel: token, ..self }
    }

    pub(crate) fn records(&self) -> bool {
        self.record
    }

    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }
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

/// What is told of a case that somebody broke off.
const BROKEN_OFF: &str = "it was broken off";

/// How soon it is seen that a run is to be broken off.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);

/// Runs all cases of a folder. Blocks while the component computes.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there are none, [`ErrorKind::InvalidInput`] for files that are no cases.
pub(crate) fn run(component: &Component, folder: &Path) -> Result<TestReport> {
    run_all(component, folder, &CancelToken::new())
}

/// Runs all cases of a folder after recording its cassettes on a model, where there is one; then with `update` those
/// that did not come out are written anew, and all run again.
///
/// # Errors
/// As [`run`]; where there is nothing to record, or it cannot be; where a file cannot be written;
/// [`ErrorKind::Cancelled`].
pub(crate) fn run_with(
    component: &Component,
    folder: &Path,
    model: Option<&Model>,
    options: &TestOptions,
) -> Result<TestReport> {
    let cancel = &options.cancel;
    let run = || {
        let recorded = model.map(|model| record(component, folder, model, cancel)).transpose()?.unwrap_or_default();
        let updated = if options.update { update(component, folder, cancel)? } else { Vec::new() };
        Ok(TestReport { recorded, updated, ..run_all(component, folder, cancel)? })
    };
    run().map_err(|error: Error| match cancel.is_cancelled() {
        true => Error::new(ErrorKind::Cancelled, format_args!("the cases of {} were broken off", component.name())),
        false => error,
    })
}

fn run_all(component: &Component, folder: &Path, cancel: &CancelToken) -> Result<TestReport> {
    let mut report = TestReport {
        component: component.name().to_owned(),
        kind: component.kind().to_string(),
        cases: Vec::new(),
        recorded: Vec::new(),
        updated: Vec::new(),
    };
    for path in case_files(folder)? {
        report.cases.extend(run_file(component, &path, cancel)?.into_iter().map(|ran| ran.result));
    }
    Ok(report)
}

/// Records a folder's cassettes; gives their files.
fn record(component: &Component, folder: &Path, model: &Model, cancel: &CancelToken) -> Result<Vec<String>> {
    let cassettes: Vec<PathBuf> = case_files(folder)?.into_iter().filter(|path| is_cassette(path)).collect();
    if cassettes.is_empty() {
        let message = format_args!("{} holds no cassettes (*{})", folder.display(), cassette::EXTENSION);
        return Err(Error::new(ErrorKind::NotFound, message)
            .with_hint("write one with \"cassette\": 1, a name and what to run; guest-examples/README.md tells how"));
    }
    for path in &cassettes {
        let mut cassette = Cassette::read(path)?;
        cassette.record(component, model, cancel).map_err(|why| invalid(path, &cassette.name, &why))?;
        cassette.write(path)?;
    }
    Ok(cassettes.iter().map(|path| file_name(path)).collect())
}

/// Writes the cases of a folder anew that do not come out, as far as what the component does can be expected of it;
/// gives the file and the name of each.
fn update(component: &Component, folder: &Path, cancel: &CancelToken) -> Result<Vec<(String, String)>> {
    let mut updated = Vec::new();
    for path in case_files(folder)? {
        let mut cases = Vec::new();
        for (index, ran) in run_file(component, &path, cancel)?.into_iter().enumerate() {
            let name = (ran.result.file, ran.result.name);
            match ran.mended {
                Some(Mended::Case(case)) => cases.push((index, case)),
                Some(Mended::Cassette(cassette)) => cassette.write(&path)?,
                None => continue,
            }
            updated.push(name);
        }
        if !cases.is_empty() {
            let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
            rewrite::write(&path, &rewrite::replaced(&text, &cases))
                .map_err(|error| Error::io("write", &path, &error))?;
        }
    }
    Ok(updated)
}

/// What a case came to, and how it would have to be written to come out, where it did not.
struct Ran {
    result: CaseResult,
    mended: Option<Mended>,
}

enum Mended {
    Case(Case),
    Cassette(Box<Cassette>),
}

/// Runs the cases of a file.
fn run_file(component: &Component, path: &Path, cancel: &CancelToken) -> Result<Vec<Ran>> {
    let file = file_name(path);
    if is_cassette(path) {
        let cassette = Cassette::read(path)?;
        let (outcome, mended) = cassette.play(component, cancel).map_err(|why| invalid(path, &cassette.name, &why))?;
        let result = CaseResult { file, name: cassette.name, outcome };
        return Ok(vec![Ran { result, mended: mended.map(|mended| Mended::Cassette(Box::new(mended))) }]);
    }
    let mut ran = Vec::new();
    for (index, case) in read(path)?.into_iter().enumerate() {
        let name = case.get("name").and_then(Value::as_str).map_or_else(|| format!("#{}", index + 1), str::to_owned);
        let mut mended = case.clone();
        let outcome = check(component, &case, &mut mended, cancel).map_err(|why| invalid(path, &name, &why))?;
        let mended = (outcome != CaseOutcome::Passed && mended != case).then_some(Mended::Case(mended));
        ran.push(Ran { result: CaseResult { file: file.clone(), name, outcome }, mended });
    }
    Ok(ran)
}

/// Whether a case of [`all`] is a cassette.
pub(crate) fn is_recorded(case: &Case) -> bool {
    case.contains_key("cassette")
}

fn is_cassette(path: &Path) -> bool {
    path.to_string_lossy().ends_with(cassette::EXTENSION)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is wrong with a case itself.
fn invalid(path: &Path, name: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format_args!("{}: the case \"{name}\": {why}", path.display()))
}

/// Runs one case; an error says what is wrong with the case itself.
pub(crate) fn run_case(component: &Component, case: &Case) -> std::result::Result<CaseOutcome, String> {
    let cancel = CancelToken::new();
    if is_recorded(case) {
        return Ok(Cassette::of_case(case)?.play(component, &cancel)?.0);
    }
    check(component, case, &mut case.clone(), &cancel)
}

/// Runs one case; an error says what is wrong with the case itself. Where it does not come out, `mended`, the same case
/// at first, is given what would have to be expected instead.
fn check(
    component: &Component,
    case: &Case,
    mended: &mut Case,
    cancel: &CancelToken,
) -> std::result::Result<CaseOutcome, String> {
    if cancel.is_cancelled() {
        return Err(BROKEN_OFF.to_owned());
    }
    match component.kind() {
        ComponentKind::Template => template::run(component, case, mended),
        ComponentKind::Policy => policy::run(component, case, mended, cancel),
        ComponentKind::Chat => chat::run(component, case, mended, cancel),
        #[cfg(feature = "agents")]
        ComponentKind::Agent => agent::run(component, case, mended, cancel),
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

    /// An error was expected whose sentence has `part` in it. Another sentence may take its place, success may not: that
    /// something is no longer refused is for a person to say.
    fn of_error(part: &str, got: std::result::Result<String, String>, mended: &mut Case) -> Self {
        let got = match got {
            Err(error) if error.contains(part) => return Self::Passed,
            Err(error) => {
                mended.insert("error".to_owned(), error.as_str().into());
                format!("error: {error}")
            }
            Ok(got) => got,
        };
        Self::Failed { expected: format!("error: {part}"), got }
    }
}

/// All cases of a folder, in the order of the files' names, after them the cassettes.
///
/// # Errors
/// As [`run`].
pub(crate) fn all(folder: &Path) -> Result<Vec<Case>> {
    let (cassettes, files): (Vec<_>, Vec<_>) = case_files(folder)?.into_iter().partition(|path| is_cassette(path));
    let mut cases = Vec::new();
    for path in files {
        cases.extend(read(&path)?);
    }
    for path in cassettes {
        cases.push(Cassette::read(&path)?.into_case());
    }
    Ok(cases)
}

fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    const HINT: &str =
        "cases are files *.json in the folder `cases` beside the component; guest-examples/README.md tells their form";
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, &error).with_hint(HINT))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        let message = format_args!("{} holds no cases (*.json)", folder.display());
        return Err(Error::new(ErrorKind::NotFound, message).with_hint(HINT));
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

/// Refuses a field that is none of these. One that is misspelt would be ignored, and what it says never be checked.
fn refuse_unknown(what: &str, fields: &Case, known: &[&str]) -> std::result::Result<(), String> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{what} has `{unknown}`, which is not known; it may have {}", known.join(", "))),
        None => Ok(()),
    }
}

/// Refuses a case that expects an error and one of these besides, which would never be looked at.
fn refuse_beside_error(case: &Case, expectations: &[&str]) -> std::result::Result<(), String> {
    match expectations.iter().find(|name| case.contains_key(**name)) {
        Some(other) if case.contains_key("error") => Err(format!("it has both `error` and `{other}`")),
        _ => Ok(()),
    }
}

/// A field of a case as the type it should have.
fn field<T: serde::de::DeserializeOwned>(case: &Case, name: &str) -> std::result::Result<Option<T>, String> {
    match case.get(name) {
        None => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|error| format!("`{name}`: {error}")),
    }
}

/// What chats and agents run on.
fn runtime() -> std::result::Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// What a run comes to; an error where it is broken off before that.
fn block_on<T>(
    runtime: &Runtime,
    cancel: &CancelToken,
    run: impl Future<Output = T>,
) -> std::result::Result<T, String> {
    runtime.block_on(async {
        let mut run = pin!(run);
        while !cancel.is_cancelled() {
            if let Ok(done) = tokio::time::timeout(CANCEL_INTERVAL, &mut run).await {
                return Ok(done);
            }
        }
        Err(BROKEN_OFF.to_owned())
    })
}

/// The text of a JSON value over several lines, so that two can be compared line by line.
fn lines(value: &impl serde::Serialize) -> String {
    // What is compared here came of JSON or of plain types, and always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
