//! A host on the fake backend, with a model whose answers a test writes down.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use wasmlx::backend::fake::{END, FakeBackend, FakeScript, VOCABULARY_SIZE, tokenizer_json};
use wasmlx::backend::{Backend, BackendError};
use wasmlx::{Event, Host, HostBuilder, Report, Turn};

/// Roles and texts, one a line, and an open answer at the end. It knows the tags of tool calls, so that the reader of
/// answers does.
const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.tool_calls %}<tool_call>{% endif %}\
                        {{ '\\n' }}{% endfor %}assistant: ";

/// A folder that the fake backend takes for a model's, and a home beside it.
pub(crate) struct Folders(tempfile::TempDir);

impl Folders {
    pub(crate) fn new() -> Self {
        let folders = Self(tempfile::tempdir().expect("a folder"));
        let model = folders.0.path().join("model");
        fs::create_dir(&model).expect("a folder");
        fs::write(model.join("config.json"), json!({"eos_token_id": END}).to_string()).expect("a file");
        fs::write(model.join("generation_config.json"), r#"{"do_sample": false}"#).expect("a file");
        fs::write(model.join("tokenizer.json"), tokenizer_json()).expect("a file");
        fs::write(model.join("chat_template.jinja"), TEMPLATE).expect("a file");
        folders
    }

    /// The model's folder, as its name.
    pub(crate) fn model(&self) -> String {
        self.0.path().join("model").to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A host whose device follows a script. Compiled components are shared by all tests.
    pub(crate) fn host(&self, script: FakeScript) -> Host {
        self.builder(script).build().expect("a host")
    }

    pub(crate) fn builder(&self, script: FakeScript) -> HostBuilder {
        self.builder_with(|| Ok(Box::new(FakeBackend::new(script))))
    }

    /// A host whose device is made this way.
    pub(crate) fn builder_with(
        &self,
        make: impl FnOnce() -> Result<Box<dyn Backend>, BackendError> + Send + 'static,
    ) -> HostBuilder {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library-home");
        Host::builder().home(home).backend(make)
    }
}

/// A model that answers by the text before: the first of these whose key is in the last line before the answer.
pub(crate) fn answers(answers: &'static [(&'static str, &'static str)]) -> FakeScript {
    FakeScript::new().scores(|tokens| {
        let bytes: Vec<u8> = tokens.iter().filter_map(|&token| u8::try_from(token).ok()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let (before, answered) = text.rsplit_once("assistant: ").unwrap_or_default();
        let question = before.trim_end().rsplit('\n').next().unwrap_or_default();
        let answer = answers.iter().find(|(key, _)| question.contains(key)).map_or("?", |(_, answer)| answer);
        let next = answer.as_bytes().get(answered.len()).map_or(END, |&byte| byte.into());
        (0..VOCABULARY_SIZE).map(|token| if token == next { 9.0 } else { 0.0 }).collect()
    })
}

/// What a turn came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) content: String,
    /// Everything but content, as it is shown for debugging, and the end.
    pub(crate) others: Vec<Event>,
    pub(crate) report: Report,
}

/// Waits for a turn's end.
pub(crate) async fn told(mut turn: Turn) -> wasmlx::Result<Told> {
    let (mut content, mut others) = (String::new(), Vec::new());
    while let Some(event) = turn.next().await {
        match event? {
            Event::Content(text) => content.push_str(&text),
            Event::Finished(report) => {
                assert!(turn.next().await.is_none(), "nothing comes after the end");
                return Ok(Told { content, others, report });
            }
            other => others.push(other),
        }
    }
    panic!("the turn ended without its last event")
}

/// Something that happened, for closures to note.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().expect("no panic").push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}
