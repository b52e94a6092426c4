//! The real chat templates and their cases, where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx_template_jinja::Clock;
use wasmlx_template_support::json::Json;

/// The clock of all cases: 2026-01-01T00:00:00.
pub(crate) const CLOCK: Option<Clock> = Some(Clock { seconds: 1_767_225_600 });

/// One rendering by transformers.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) context: Vec<(String, Json)>,
    /// The text, or the kind and the message of the error.
    pub(crate) expected: Result<String, (String, String)>,
}

/// All cases, by template; `None`, and a line that says why, where they are not at hand.
pub(crate) fn cases() -> Option<Vec<Case>> {
    let folder = match std::env::var_os("WASMLX_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let folder = folder.join("chat-templates");
    let Ok(entries) = fs::read_dir(folder.join("cases")) else {
        println!("skipped: no chat templates in {}; WASMLX_SHARED says where they are", folder.display());
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let list = Json::read(&fs::read_to_string(&file).unwrap()).unwrap();
        for case in list.items() {
            let text = |key: &str| case.get(key).unwrap().as_str().unwrap();
            let template = text("template_file");
            let error = |part: &str| case.get("error")?.get(part)?.as_str().map(str::to_owned);
            cases.push(Case {
                name: format!("{}: {}", template.trim_end_matches(".jinja"), text("case")),
                source: fs::read_to_string(folder.join("templates").join(template)).unwrap(),
                context: case.get("context").unwrap().entries().to_vec(),
                expected: match case.get("expected").and_then(Json::as_str) {
                    Some(expected) => Ok(expected.to_owned()),
                    None => Err((error("kind").unwrap(), error("message").unwrap_or_default())),
                },
            });
        }
    }
    Some(cases)
}
