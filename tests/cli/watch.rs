//! `--watch`: what changes is built, tested and run again.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{run, wasmlx};

/// The program under watch of its files, ended with the test.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    fn start(arguments: &[&str]) -> Self {
        let mut command = wasmlx(arguments);
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffolds"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Types a line.
    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next object that it prints, waiting for it.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// What Ctrl-C makes of it: its exit code.
    fn interrupt(mut self) -> Option<i32> {
        let interrupted = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a file as editors do: another that then takes its name.
fn save(path: &Path, bytes: impl AsRef<[u8]>) {
    let new = path.with_file_name(".new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components").join(name).with_extension("wasm")
}

#[test]
fn a_test_runs_again_when_a_case_or_the_component_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cases) = (folder.path().join("mine.wasm"), folder.path().join("cases/plans.json"));
    fs::copy(component("default-policy"), &file).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    let planned = |temperature: f64| {
        json!([{"name": "warm", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": temperature}]}])
            .to_string()
    };
    fs::write(&cases, planned(0.5)).unwrap();
    let mut watching = Watching::start(&["test", "--watch", "--json", file.to_str().unwrap()]);
    assert_eq!(watching.next()["passed"], 1);
    save(&cases, planned(0.75));
    assert_eq!(watching.next()["failed"], 1);
    fs::remove_file(&cases).unwrap();
    assert!(watching.next()["error"].as_str().unwrap().contains("holds no cases"));
    save(&cases, planned(0.5));
    assert_eq!(watching.next()["passed"], 1);
    save(&file, b"\0asm");
    assert!(watching.next()["error"].is_string());
    save(&file, fs::read(component("default-policy")).unwrap());
    assert_eq!(watching.next()["passed"], 1);
    assert_eq!(watching.interrupt(), Some(130));
}

#[test]
fn a_source_is_built_again_and_one_that_does_not_build_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("mine");
    let path = project.to_str().unwrap();
    run(&["component", "new", "--lang", "rust", "--kind", "policy", path]).ok();
    let mut watching = Watching::start(&["test", "--watch", "--json", path]);
    assert_eq!(watching.next()["failed"], 0);
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    save(&source, "fn");
    assert!(watching.next()["error"].as_str().unwrap().contains("does not build"));
    // What was built before is still there.
    assert!(project.join("mine.wasm").is_file());
    save(&source, text);
    assert_eq!(watching.next()["failed"], 0);
}

#[test]
fn a_prompt_is_answered_again_when_a_component_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wasm");
    fs::copy(component("classic"), &file).unwrap();
    let path = file.to_str().unwrap();
    let mut watching =
        Watching::start(&["run", "--watch", "--json", "--max-tokens", "8", "--sampler", path, "Tell me a story."]);
    let first = watching.next();
    assert_eq!(first["completion_tokens"], 8, "{first}");
    save(&file, b"no component");
    assert!(watching.next()["error"].as_str().unwrap().contains("mine"), "the error names it");
    save(&file, fs::read(component("json-only")).unwrap());
    let second = watching.next();
    assert!(second["text"].as_str().unwrap().starts_with(['{', '[', '"']), "{second}");
    // The model was loaded once.
    assert_eq!(second["load_ms"], first["load_ms"]);
    // Without --seed too the same component gives the same answer.
    save(&file, fs::read(component("classic")).unwrap());
    assert_eq!(watching.next()["tokens"], first["tokens"]);
    assert_eq!(watching.interrupt(), Some(130));
}

#[test]
fn a_chat_goes_on_with_a_component_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wasm");
    fs::copy(component("classic"), &file).unwrap();
    let path = file.to_str().unwrap();
    let mut watching =
        Watching::start(&["chat", "--watch", "--json", "--seed", "0", "--max-tokens", "8", "--sampler", path]);
    watching.say("Tell me a story.");
    let first = watching.next();
    assert_eq!(first["completion_tokens"], 8, "{first}");
    save(&file, fs::read(component("json-only")).unwrap());
    watching.say("/retry");
    let second = watching.next();
    assert!(second["text"].as_str().unwrap().starts_with(['{', '[', '"']), "{second}");
    // What cannot be loaded is told once; the next message goes on with what there is.
    save(&file, b"no component");
    watching.say("Go on.");
    watching.say("Go on.");
    assert!(watching.next()["text"].as_str().unwrap().starts_with(['{', '[', '"']));
    drop(watching.child.stdin.take());
    assert_eq!(watching.child.wait().unwrap().code(), Some(1));
}

#[test]
fn an_agent_runs_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wasm");
    fs::copy(component("errand"), &file).unwrap();
    let path = file.to_str().unwrap();
    let mut watching = Watching::start(&["run", "--watch", "--json", "--agent", path, "--max-tokens", "4", "Well?"]);
    assert!(watching.next()["error"].as_str().unwrap().contains("usage: fetch URL"));
    save(&file, fs::read(component("vote")).unwrap());
    assert!(watching.next()["text"].as_str().unwrap().contains("builtin 1: "));
}

#[test]
fn what_is_not_there_is_not_watched() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["test", "--watch", folder.path().join("a.wasm").to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("is not there"), "{}", ran.stderr);
    let ran = run(&["run", "--watch", "--sampler", "classic", "Hi"]).failed(2);
    assert!(ran.stderr.contains("no source to watch"), "{}", ran.stderr);
    let ran = run(&["test", "--watch", folder.path().to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("holds no component's source"), "{}", ran.stderr);
}
