//! `wasmlx test`: the shipped components pass their own cases, and a case that is wrong is told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::run;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_shipped_components_pass_their_cases() {
    let components = [
        "templates/jinja",
        "templates/chatml",
        "templates/llama3",
        "guest-examples/rust/default-policy",
        "guest-examples/rust/classic",
        "guest-examples/rust/mirostat",
        "guest-examples/rust/json-only",
        "guest-examples/rust/dates",
        "guest-examples/rust/no-words",
        "guest-examples/rust/chat",
        "guest-examples/rust/vote",
        "guest-examples/rust/errand",
    ];
    for component in components {
        let report = run(&["test", "--json", repository(component).to_str().unwrap()]).ok().json();
        assert_eq!(report["failed"], 0, "{report:#}");
        assert!(report["passed"].as_u64().is_some_and(|passed| passed > 0), "{component}: {report:#}");
    }
}

/// A component beside cases of the test's own.
fn beside(component: &str, cases: &serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(component).with_extension("wasm");
    fs::copy(repository("target/components").join(component).with_extension("wasm"), &file).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/cases.json"), cases.to_string()).unwrap();
    (folder, file)
}

#[test]
fn a_wrong_case_of_a_policy_shows_both_sides() {
    let (_folder, file) = beside(
        "default-policy",
        &json!([
            {"name": "right", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.5}]},
            {"name": "wrong", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.7}]},
        ]),
    );
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    insta::assert_snapshot!(ran.stdout, @r#"
    default-policy (sampling policy)
      FAILED  cases.json: wrong
      expected  {"temperature":0.7}
      got       {"temperature":0.5}
    1 passed, 1 failed
    "#);
}

#[test]
fn a_wrong_step_of_a_policy_shows_the_distribution() {
    let step = json!({"logits": [1.0, 1.0], "new": [0], "expect": {"distribution": {"0": 1.0}}});
    let (_folder, file) = beside("classic", &json!([{"name": "even", "params": {"top_p": 1}, "steps": [step]}]));
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"0\": 0.5") && ran.stdout.ends_with("0 passed, 1 failed\n"), "{}", ran.stdout);
}

#[test]
fn a_wrong_case_of_a_template_shows_the_segments() {
    let conversation = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let case = json!([{"name": "none", "conversation": conversation, "segments": []}]);
    let (_folder, file) = beside("chatml", &case);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"untrusted\": \"Hi\""), "{}", ran.stdout);
}

#[test]
fn a_wrong_case_of_a_chat_shows_the_turn() {
    let case = json!([{
        "name": "silent",
        "log": [{"role": "user", "content": "Hi"}],
        "script": [{"outputs": [{"content": "Hello."}]}],
        "events": [{"done": "stop"}],
        "appended": [],
    }]);
    let (_folder, file) = beside("chat", &case);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"content\": \"Hello.\""), "{}", ran.stdout);
}

#[test]
fn what_is_no_component_and_what_are_no_cases_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thing.wasm");
    fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("core module"), "{}", ran.stderr);

    let (folder, file) = beside("classic", &json!({"name": "no list"}));
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("cases.json"), "{}", ran.stderr);
    fs::remove_dir_all(folder.path().join("cases")).unwrap();
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("cases"), "{}", ran.stderr);
}
