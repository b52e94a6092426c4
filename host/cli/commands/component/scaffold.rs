//! What `wasmlx component new` writes: the examples of this repository, the interfaces, and what surrounds them.

use clap::ValueEnum;

use wasmlx::ComponentKind;

use crate::project::{Language, MANIFEST, interfaces};

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Template,
    Policy,
    Chat,
    Agent,
}

impl From<Kind> for ComponentKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Template => Self::Template,
            Kind::Policy => Self::Policy,
            Kind::Chat => Self::Chat,
            Kind::Agent => Self::Agent,
        }
    }
}

/// Names of files, and what is in them.
type Files = &'static [(&'static str, &'static str)];

/// Files of this repository, each under the name that it gets.
macro_rules! files {
    ($folder:literal: $($name:literal = $path:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../", $folder, "/", $path)))),*]
    };
}

/// The chat in C shares what C lacks, strings and JSON, with the template.
const C_CHAT: Files = &[
    ("component.c", include_str!("scaffold/c-chat/component.c")),
    ("config.c", include_str!("scaffold/c-chat/config.c")),
    ("config.h", include_str!("scaffold/c-chat/config.h")),
    ("turn.c", include_str!("scaffold/c-chat/turn.c")),
    ("turn.h", include_str!("scaffold/c-chat/turn.h")),
    ("json.c", include_str!("../../../../guest-examples/c/chatml/json.c")),
    ("json.h", include_str!("../../../../guest-examples/c/chatml/json.h")),
    ("text.c", include_str!("../../../../guest-examples/c/chatml/text.c")),
    ("text.h", include_str!("../../../../guest-examples/c/chatml/text.h")),
];

/// All files of a new component, in a folder of its own.
pub(super) fn files(language: Language, kind: Kind, name: &str) -> Vec<(String, String)> {
    let mut files =
        vec![(MANIFEST.to_owned(), manifest(kind, name)), ("README.md".to_owned(), readme(language, kind, name))];
    if language == Language::Rust {
        files.push((language.entry().to_owned(), cargo_manifest(kind, name)));
    }
    let code = code(language, kind).iter().map(|(file, text)| {
        // Where the interfaces are, seen from the examples here and from a component by itself.
        ((*file).to_owned(), text.replace("\"../../../wit\"", "\"wit\""))
    });
    files.extend(code);
    files.extend(cases(kind).iter().map(|(file, text)| (format!("cases/{file}"), (*text).to_owned())));
    files
        .extend(interfaces::files(language, kind.into()).into_iter().map(|(file, text)| (format!("wit/{file}"), text)));
    files.push((".gitignore".to_owned(), "/target\n*.wasm\n".to_owned()));
    files
}

fn code(language: Language, kind: Kind) -> Files {
    match (language, kind) {
        (Language::Rust, Kind::Policy) => {
            files!("guest-examples/rust/min-p": "src/lib.rs" = "lib.rs", "src/parameters.rs" = "parameters.rs")
        }
        (Language::C, Kind::Policy) => files!(
            "guest-examples/c/min-p": "component.c" = "component.c", "parameters.c" = "parameters.c",
            "parameters.h" = "parameters.h",
        ),
        (Language::Zig, Kind::Policy) => files!(
            "guest-examples/zig/min-p": "component.zig" = "component.zig", "parameters.zig" = "parameters.zig",
        ),
        (Language::Python, Kind::Policy) => files!(
            "guest-examples/python/min-p": "component.py" = "component.py", "parameters.py" = "parameters.py",
            "policy.py" = "policy.py",
        ),
        (Language::JavaScript, Kind::Policy) => files!(
            "guest-examples/javascript/min-p": "component.js" = "component.js", "parameters.js" = "parameters.js",
        ),
        (Language::Rust, Kind::Template) => files!(
            "host/cli/commands/component/scaffold/rust-template": "src/lib.rs" = "lib.rs",
            "src/answer.rs" = "answer.rs", "src/json.rs" = "json.rs", "src/prompt.rs" = "prompt.rs",
        ),
        (Language::C, Kind::Template) => files!(
            "guest-examples/c/chatml": "component.c" = "component.c", "answer.c" = "answer.c", "answer.h" = "answer.h",
            "json.c" = "json.c", "json.h" = "json.h", "text.c" = "text.c", "text.h" = "text.h",
        ),
        (Language::Zig, Kind::Template) => files!(
            "guest-examples/zig/chatml": "component.zig" = "component.zig", "Answer.zig" = "Answer.zig",
            "Prompt.zig" = "Prompt.zig", "json.zig" = "json.zig",
        ),
        (Language::Python, Kind::Template) => files!(
            "guest-examples/python/chatml": "component.py" = "component.py", "prompt.py" = "prompt.py",
            "template.py" = "template.py",
        ),
        (Language::JavaScript, Kind::Template) => files!(
            "guest-examples/javascript/chatml": "component.js" = "component.js", "answer.js" = "answer.js",
            "json.js" = "json.js", "prompt.js" = "prompt.js",
        ),
        (Language::Rust, Kind::Chat) => files!(
            "host/cli/commands/component/scaffold/rust-chat": "src/lib.rs" = "lib.rs", "src/config.rs" = "config.rs",
            "src/turn.rs" = "turn.rs",
        ),
        (Language::Python, Kind::Chat) => files!(
            "host/cli/commands/component/scaffold/python-chat": "component.py" = "component.py", "chat.py" = "chat.py",
        ),
        (Language::JavaScript, Kind::Chat) => files!(
            "host/cli/commands/component/scaffold/javascript-chat": "component.js" = "component.js",
        ),
        (Language::Zig, Kind::Chat) => files!(
            "host/cli/commands/component/scaffold/zig-chat": "component.zig" = "component.zig",
            "Config.zig" = "Config.zig", "Turn.zig" = "Turn.zig",
        ),
        (Language::C, Kind::Chat) => C_CHAT,
        (Language::Rust, Kind::Agent) => files!(
            "host/cli/commands/component/scaffold/rust-agent": "src/lib.rs" = "lib.rs",
        ),
        (Language::C, Kind::Agent) => files!(
            "host/cli/commands/component/scaffold/c-agent": "component.c" = "component.c",
        ),
        (Language::Zig, Kind::Agent) => files!(
            "host/cli/commands/component/scaffold/zig-agent": "component.zig" = "component.zig",
        ),
        (Language::Python, Kind::Agent) => files!(
            "host/cli/commands/component/scaffold/python-agent": "component.py" = "component.py",
        ),
        (Language::JavaScript, Kind::Agent) => files!(
            "host/cli/commands/component/scaffold/javascript-agent": "component.js" = "component.js",
        ),
    }
}

fn cases(kind: Kind) -> Files {
    match kind {
        Kind::Template => files!("templates/chatml/cases": "chatml.json" = "chatml.json"),
        Kind::Policy => files!(
            "guest-examples/rust/min-p/cases": "parameters.json" = "parameters.json", "steps.json" = "steps.json",
        ),
        Kind::Chat => files!("guest-examples/rust/chat/cases": "answers.json" = "answers.json"),
        Kind::Agent => {
            files!("host/cli/commands/component/scaffold/agent-cases": "questions.json" = "questions.json")
        }
    }
}

/// What an agent may ask for.
const REQUESTS: &str = r#"
# What it asks for besides the model that the user chooses. The user gives each by `--grant`.
[requests]
# tokens = 20000        # a minute
# model = ["NAME"]      # other models
# http = ["HOST"]
# read = ["FOLDER"]
# write = ["FOLDER"]
# kv = ["SPACE"]        # values that outlast the run
# env = ["NAME"]
# store = ["read"]      # which models the user has
"#;

fn manifest(kind: Kind, name: &str) -> String {
    let (kind, description) = match kind {
        Kind::Template => ("template", "Writes prompts as ChatML."),
        Kind::Policy => ("policy", "Draws from the tokens that are likely beside the best one (min-p)."),
        Kind::Chat => ("chat", "Answers each message."),
        Kind::Agent => ("agent", "Asks the model what its arguments say, and prints the answer."),
    };
    let requests = if kind == "agent" { REQUESTS } else { "" };
    format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"{description}\"\nkind = \"{kind}\"\n\
         # The version of the interfaces in `wit`.\nwasmlx = \"0.1\"\n{requests}"
    )
}

fn cargo_manifest(kind: Kind, name: &str) -> String {
    let serde = match kind {
        Kind::Template => "serde = \"1\"\n",
        Kind::Policy | Kind::Agent => "",
        Kind::Chat => "serde = { version = \"1\", features = [\"derive\"] }\n",
    };
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
{serde}serde_json = {{ version = "1", features = ["preserve_order"] }}
wit-bindgen = {{ version = "0.61.1", default-features = false, features = ["macros", "realloc"] }}

# Who installs a component compiles what is in it: small wins.
[profile.release]
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo"

# It belongs to no workspace that it may lie in.
[workspace]
"#
    )
}

fn readme(language: Language, kind: Kind, name: &str) -> String {
    let (what, option) = match kind {
        Kind::Template => ("A prompt template: ChatML", "template"),
        Kind::Policy => ("A sampling policy: min-p", "sampler"),
        Kind::Chat => ("A chat: the plain loop", "chat"),
        Kind::Agent => ("An agent that asks the model a question", "agent"),
    };
    let (entry, tool) = (language.entry(), language.install());
    format!(
        "# {name}

{what}, in {language}, as a component of wasmlx. Change it into what you need.

```
{tool}
wasmlx component build
wasmlx test .
wasmlx run --{option} ./{name}.wasm \"What is the capital of Japan?\"
```

The first line installs what builds components in {language}, once. While you work on it, `wasmlx test . --watch` builds and
tests it whenever a file changes, and `wasmlx run --watch --{option} . \"...\"` answers anew.

| | |
|---|---|
| `{entry}` | where the code begins |
| `component.toml` | name, version and what the component asks for; it travels in the component |
| `cases/` | what `wasmlx test` checks, without a model |
| `wit/` | the interfaces, line by line |
"
    )
}
