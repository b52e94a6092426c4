//! The real chat templates and their cases, where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};
use wasmlx_template_jinja::Clock;

/// The clock of all cases: 2026-01-01T00:00:00.
pub(crate) const CLOCK: Option<Clock> = Some(Clock { seconds: 1_767_225_600 });

/// One rendering by transformers.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) context: Map<String, Json>,
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
        let list: Vec<Json> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for case in list {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let template = text("template_file");
            cases.push(Case {
                name: format!("{}: {}", template.trim_end_matches(".jinja"), text("case")),
                source: fs::read_to_string(folder.join("templates").join(&template)).unwrap(),
                context: case["context"].as_object().unwrap().clone(),
                expected: match case["expected"].as_str() {
                    Some(expected) => Ok(expected.to_owned()),
                    None => {
                        let error = &case["error"];
                        let part = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                        Err((part("kind"), part("message")))
                    }
                },
            });
        }
    }
    Some(cases)
}
