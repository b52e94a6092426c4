//! What the folder of a component stands for: its own `.wasm` file, the one that its workspace keeps, or its source.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::run;

/// A shipped component, built.
fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components").join(name).with_extension("wasm")
}

/// A folder by a name in another one, with a case that only `default-policy` passes.
fn with_a_case(parent: &Path, name: &str) -> PathBuf {
    let folder = parent.join(name);
    fs::create_dir_all(folder.join("cases")).unwrap();
    let case = json!([{"name": "warm", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.5}]}]);
    fs::write(folder.join("cases/plans.json"), case.to_string()).unwrap();
    folder
}

fn set_age(file: &Path, age: Duration) {
    File::options().append(true).open(file).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_component_that_is_older_than_its_source_is_taken_and_that_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let folder = with_a_case(parent.path(), "mine");
    let (path, source, file) = (folder.to_str().unwrap(), folder.join("component.c"), folder.join("mine.wasm"));
    fs::copy(built("default-policy"), &file).unwrap();
    fs::write(&source, "this does not compile").unwrap();
    fs::write(folder.join("README.md"), "").unwrap();
    set_age(&source, 2 * HOUR);
    set_age(&file, HOUR);
    // Its cases and documents are newer, which is no matter.
    let fresh = run(&["test", path]).ok();
    assert_eq!(fresh.stderr, "");

    set_age(&file, 3 * HOUR);
    let stale = run(&["test", path]).ok();
    let told = format!(
        "note: {path}/component.c is newer than {path}/mine.wasm, which is taken as it is; `wasmlx component build \
         {path}` builds it anew\n"
    );
    assert_eq!(stale.stderr, told);
}

/// A workspace that keeps two components, beside packages of their names: one that is its member and one that is not.
#[test]
fn what_a_workspace_keeps_is_taken_for_its_members_that_have_no_file_of_their_own() {
    let workspace = tempfile::tempdir().unwrap();
    let kept = workspace.path().join("target/components");
    fs::create_dir_all(&kept).unwrap();
    fs::write(workspace.path().join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"member\"]\n").unwrap();
    for (name, its_own) in [("member", ""), ("stranger", "[workspace]\n")] {
        let folder = with_a_case(workspace.path(), name);
        let package = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{its_own}");
        fs::write(folder.join("Cargo.toml"), package).unwrap();
        fs::create_dir(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), "this does not compile").unwrap();
        fs::copy(built("default-policy"), kept.join(name).with_extension("wasm")).unwrap();
    }
    let [member, stranger] = ["member", "stranger"].map(|name| workspace.path().join(name));
    run(&["test", member.to_str().unwrap()]).ok();
    // What is a namesake's is not taken: it is built of its source, which fails.
    let refused = run(&["test", stranger.to_str().unwrap()]).failed(1);
    assert!(refused.stderr.contains("building") && refused.stdout.is_empty(), "{}", refused.stderr);
    // One's own file comes first.
    fs::copy(built("mirostat"), member.join("own.wasm")).unwrap();
    let report = run(&["test", "--json", member.to_str().unwrap()]).failed(1).json();
    assert_eq!((&report["component"], &report["failed"]), (&json!("own"), &json!(1)), "{report:#}");
}

#[test]
fn inspect_builds_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = with_a_case(parent.path(), "mine");
    fs::write(folder.join("component.c"), "this does not compile").unwrap();
    let refused = run(&["component", "inspect", folder.to_str().unwrap()]).failed(1);
    assert!(refused.stderr.contains("holds no .wasm file"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`wasmlx component build "), "{}", refused.stderr);
    assert!(!folder.join("target").exists(), "nothing was built");
}
