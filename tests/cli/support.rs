//! Starting the program and looking at what it did.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The folder that all these tests share as the program's home, so that the built-in model is unpacked once.
pub(crate) fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("home")
}

/// The program, with nothing of the caller's settings.
pub(crate) fn wasmlx(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmlx"));
    command.args(arguments).env("WASMLX_HOME", home()).stdin(Stdio::null());
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command
}

/// What a run of the program came to.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Asserts that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that it failed with a code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object that it printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    ran(&mut wasmlx(arguments))
}

/// Runs a command to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    Ran::of(command.output().expect("the program starts"))
}

/// Runs the program with a text on stdin.
pub(crate) fn run_with_input(arguments: &[&str], input: &str) -> Ran {
    let mut child = wasmlx(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).expect("the program reads its stdin");
    drop(stdin);
    Ran::of(child.wait_with_output().expect("the program ends"))
}

/// The names of an object's fields, sorted.
#[track_caller]
pub(crate) fn field_names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Material that others wrote and that is not in this repository: `WASMLX_SHARED`, or `shared` beside the
/// repository. None, with a line that says so, where it is absent.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WASMLX_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join(part);
    if folder.exists() {
        return Some(folder);
    }
    // Not by `eprintln!`, whose text a test runner keeps to itself. Where stderr is closed nobody wants it.
    let _ = writeln!(std::io::stderr(), "skipped: {} is not there", folder.display());
    None
}
