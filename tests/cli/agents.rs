//! `wasmlx run --agent` and `--grant`.

use std::fs;
use std::path::Path;

use crate::support::{run, wasmlx};

/// An example agent, built.
fn guest(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components").join(name).with_extension("wasm");
    file.to_str().unwrap().to_owned()
}

#[test]
fn an_agent_gets_its_arguments_and_what_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/a.txt"), "a text\n").unwrap();
    let errand = guest("errand");
    let read = |grants: &[&str]| {
        let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
        let arguments: Vec<&str> = ["run", "-q", "--agent", &errand].into_iter().chain(grants).collect();
        let arguments = [&arguments[..], &["read", "docs/a.txt"]].concat();
        wasmlx(&arguments).current_dir(folder.path()).output().unwrap()
    };
    let given = read(&["read=./docs"]);
    assert_eq!(String::from_utf8_lossy(&given.stdout), "a text\n", "{given:?}");
    let refused = read(&["env=HOME"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("component errand: no granted folder has docs/a.txt"), "{error}");
}

#[test]
fn voters_answer_by_the_built_in_model() {
    let vote = guest("vote");
    let ran =
        run(&["run", "--agent", &vote, "--temperature", "0", "--", "--voters", "2", "What is the capital of Japan?"])
            .ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[2].contains("Tokyo") && lines[2].ends_with("(2 of 2)"), "{}", ran.stdout);
    assert!(ran.stderr.contains("tokens/s"), "{}", ran.stderr);
}

#[test]
fn what_is_no_grant_is_wrong_use() {
    let ran = run(&["run", "--grant", "disk=all", "Hi"]).failed(2);
    assert!(ran.stderr.contains("it begins with none of model=, http="), "{}", ran.stderr);
    run(&["run", "Hi", "there"]).failed(2);
    run(&["run", "--agent", "x.wasm", "--raw"]).failed(2);
}

#[test]
fn a_grant_that_nobody_asks_for_is_told() {
    let ran = run(&["run", "--grant", "http=example.org", "--temperature", "0", "--max-tokens", "1", "Hi"]).ok();
    let expected = "chat is granted http=example.org, but its manifest does not ask for it: it is not given";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
}
