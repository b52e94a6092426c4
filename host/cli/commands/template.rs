//! `wasmlx template`: prompt templates by themselves.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasmlx::{ComponentKind, Conversation, ErrorKind, Host, Segment, Template as Component};

use crate::GlobalOptions;
use crate::candidates;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

#[derive(Debug, Subcommand)]
pub(crate) enum Template {
    /// Write the prompt of one conversation
    Render(Render),
    /// Run a folder of rendered cases: `templates/` and `cases/*.json`, a list of {case, template_file, context,
    /// expected or error} each, and compare
    Conformance(Conformance),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Render {
    /// The template component: a file, a folder, or a name
    #[arg(short, long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Template))]
    template: String,
    /// A JSON file: {"messages": [...], "tools": [...], "add_generation_prompt": true, "options": {...}}
    #[arg(long, value_name = "FILE")]
    conversation: PathBuf,
    /// Configure the template with this model's special tokens and chat template
    #[arg(short, long, add = candidates::model())]
    model: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Conformance {
    /// The folder
    folder: PathBuf,
    /// The template component, which takes the Jinja source as its configuration
    #[arg(short, long, value_name = "COMPONENT", default_value = "jinja", add = candidates::component(ComponentKind::Template))]
    template: String,
}

impl Template {
    pub(crate) fn run(self, global: &GlobalOptions) -> Result {
        match self {
            Self::Render(arguments) => render(&arguments, global),
            Self::Conformance(arguments) => conformance(&arguments, global),
        }
    }
}

fn render(arguments: &Render, global: &GlobalOptions) -> Result {
    let host = Host::builder().build()?;
    let text = read(&arguments.conversation)?;
    let conversation: Conversation = serde_json::from_str(&text).map_err(|error| {
        let path = arguments.conversation.display();
        Failure::new(ErrorKind::InvalidInput, format_args!("{path} is no conversation: {error}"))
    })?;
    let config = match arguments.model.as_deref() {
        Some(model) => host.template_config(Some(model), !conversation.tools.is_empty())?,
        None => json!({}),
    };
    let template = host.template(arguments.template.as_str(), &config)?;
    let segments = template.render(&conversation)?;
    let text = text_of(&segments);
    let mut output = Output::new();
    if global.json {
        let segments: Vec<Value> = segments
            .iter()
            .map(|segment| match segment {
                Segment::Control(text) => json!({"control": text}),
                Segment::Trusted(text) => json!({"trusted": text}),
                Segment::Untrusted(text) => json!({"untrusted": text}),
            })
            .collect();
        return output.json(&json!({"text": text, "segments": segments}));
    }
    output.text(&text)?;
    output.flush()
}

fn text_of(segments: &[Segment]) -> String {
    segments.iter().map(Segment::text).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Io };
        Failure::new(kind, format_args!("cannot read {}: {error}", path.display()))
    })
}

/// A case file's entry.
#[derive(Debug, Deserialize)]
struct Case {
    case: String,
    template_file: String,
    context: Map<String, Value>,
    expected: Option<String>,
    error: Option<ExpectedError>,
}

#[derive(Debug, Deserialize)]
struct ExpectedError {
    kind: String,
    #[serde(default)]
    message: String,
}

/// The kind of error that a template raises by itself; its message is part of what is checked.
const RAISED: &str = "raise_exception";

/// The clock of the cases: 2026-01-01T00:00:00, in seconds since 1970.
const NOW: u64 = 1_767_225_600;

/// A case that did not come out as it should.
#[derive(Debug)]
struct Difference {
    file: String,
    case: String,
    expected: String,
    got: String,
}

fn conformance(arguments: &Conformance, global: &GlobalOptions) -> Result {
    let cases_folder = arguments.folder.join("cases");
    let mut files = case_files(&cases_folder)?;
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(ErrorKind::NotFound, format_args!("{} holds no *.json", cases_folder.display())));
    }
    let host = Host::builder().build()?;

    // Each thread takes the next file that nobody has; results are put back in the files' order.
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let work = || -> Result<Vec<(usize, FileResult)>> {
        let mut done = Vec::new();
        while let Some((index, file)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            files.get(index).map(|file| (index, file))
        } {
            done.push((index, run_file(&host, arguments, file)?));
        }
        Ok(done)
    };
    let results: Vec<Result<Vec<(usize, FileResult)>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = || Failure::new(ErrorKind::ComponentFailed, "a thread that ran cases panicked");
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result?);
    }
    all.sort_by_key(|(index, _)| *index);

    let passed: usize = all.iter().map(|(_, result)| result.passed).sum();
    let differences: Vec<&Difference> = all.iter().flat_map(|(_, result)| &result.differences).collect();
    report(passed, &differences, global)
}

fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        Failure::Failed(
            wasmlx::Error::new(ErrorKind::NotFound, format_args!("cannot read {}: {error}", folder.display()))
                .with_hint("name a folder that holds `templates/` and `cases/`"),
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(files)
}

#[derive(Debug, Default)]
struct FileResult {
    passed: usize,
    differences: Vec<Difference>,
}

fn run_file(host: &Host, arguments: &Conformance, path: &Path) -> Result<FileResult> {
    let text = read(path)?;
    let cases: Vec<Case> = serde_json::from_str(&text).map_err(|error| {
        Failure::new(ErrorKind::InvalidInput, format_args!("{} is no list of cases: {error}", path.display()))
    })?;
    // One instance a template, reused as a chat reuses it.
    let mut templates: HashMap<String, wasmlx::Result<Component>> = HashMap::new();
    let mut result = FileResult::default();
    for case in cases {
        let template = match templates.get(&case.template_file) {
            Some(template) => template,
            None => {
                let source = read(&arguments.folder.join("templates").join(&case.template_file))?;
                let made = host.template(arguments.template.as_str(), &json!({"chat_template": source}));
                &*templates.entry(case.template_file.clone()).or_insert(made)
            }
        };
        let rendered = match template {
            Ok(template) => template.render(&conversation(&case)),
            Err(error) => Err(error.clone()),
        };
        match difference(&case, rendered.map(|segments| text_of(&segments))) {
            None => result.passed += 1,
            Some((expected, got)) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                result.differences.push(Difference { file, case: case.case, expected, got });
            }
        }
    }
    Ok(result)
}

/// The case's context, handed to the template as it is.
fn conversation(case: &Case) -> Conversation {
    let options = Map::from_iter([("now".to_owned(), NOW.into())]);
    Conversation { options, context: Some(case.context.clone()), ..Conversation::default() }
}

/// What was expected and what came instead; none where a case came out as it should.
fn difference(case: &Case, rendered: wasmlx::Result<String>) -> Option<(String, String)> {
    match (&case.expected, &case.error, rendered) {
        (Some(expected), _, Ok(text)) if *expected == text => None,
        (Some(expected), _, Ok(text)) => Some((expected.clone(), text)),
        (Some(expected), _, Err(error)) => Some((expected.clone(), format!("error: {error}"))),
        (None, Some(expected), Err(error))
            if expected.kind != RAISED || error.to_string().contains(&expected.message) =>
        {
            None
        }
        (None, Some(expected), Err(error)) => Some((format!("error: {}", expected.message), format!("error: {error}"))),
        (None, Some(expected), Ok(text)) => Some((format!("error: {}", expected.message), text)),
        (None, None, _) => Some(("`expected` or `error` in the case".to_owned(), "neither".to_owned())),
    }
}

fn report(passed: usize, differences: &[&Difference], global: &GlobalOptions) -> Result {
    let mut output = Output::new();
    if global.json {
        let failures: Vec<Value> = differences
            .iter()
            .map(|difference| {
                let Difference { file, case, expected, got } = difference;
                json!({"file": file, "case": case, "expected": expected, "got": got})
            })
            .collect();
        output.json(&json!({"passed": passed, "failed": differences.len(), "failures": failures}))?;
    } else {
        if global.verbose > 0 {
            for difference in differences {
                output.styled(output::BOLD, &format!("{}: {}", difference.file, difference.case))?;
                output.line(format_args!("\n  expected {:?}\n  got      {:?}", difference.expected, difference.got))?;
            }
        }
        output.line(format_args!("{passed} passed, {} failed", differences.len()))?;
        output.flush()?;
    }
    if differences.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(expected: Option<&str>, error: Option<(&str, &str)>) -> Case {
        Case {
            case: "case".to_owned(),
            template_file: "t.jinja".to_owned(),
            context: Map::new(),
            expected: expected.map(str::to_owned),
            error: error.map(|(kind, message)| ExpectedError { kind: kind.to_owned(), message: message.to_owned() }),
        }
    }

    fn failed(message: &str) -> wasmlx::Result<String> {
        Err(wasmlx::Error::new(ErrorKind::InvalidInput, message))
    }

    #[test]
    fn a_raised_message_counts_and_other_messages_do_not() {
        let raised = case(None, Some((RAISED, "roles must alternate")));
        assert!(difference(&raised, failed("jinja: roles must alternate")).is_none());
        assert!(difference(&raised, failed("something else")).is_some());
        assert!(difference(&raised, Ok("text".to_owned())).is_some());
        let other = case(None, Some(("TypeError", "no attribute")));
        assert!(difference(&other, failed("something else")).is_none());
    }

    #[test]
    fn a_text_must_be_the_same_byte_for_byte() {
        let expected = case(Some("a\n"), None);
        assert!(difference(&expected, Ok("a\n".to_owned())).is_none());
        assert_eq!(difference(&expected, Ok("a".to_owned())), Some(("a\n".to_owned(), "a".to_owned())));
        assert!(difference(&expected, failed("x")).is_some());
        assert!(difference(&case(None, None), Ok(String::new())).is_some());
    }
}
