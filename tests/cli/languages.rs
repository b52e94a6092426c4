//! Components in five languages: what `wasmlx component new` writes builds and passes, and so do the examples.
//!
//! A language whose tools are not here is skipped, which is told on stderr; `cargo xtask test` installs those of C and
//! Zig, and with `--all` the others, where nothing may be skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, ran, run, wasmlx};

/// Python and JavaScript, the heavy ones, bring an interpreter with them, which takes its time to compile.
const LIGHT: [&str; 3] = ["rust", "c", "zig"];
const HEAVY: [&str; 2] = ["python", "javascript"];

/// The program, which builds Rust into a folder that all tests share, so that dependencies are built once.
fn builder(arguments: &[&str]) -> Command {
    let mut command = wasmlx(arguments);
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffolds"));
    command
}

/// Whether the tools of a language are not here, which is told, and what building with them came to.
fn is_missing(language: &str, ran: &Ran) -> bool {
    let signs = ["is not installed, which builds components in", "can't find crate for `core`"];
    let missing = ran.code == Some(1) && signs.iter().any(|sign| ran.stderr.contains(sign));
    if missing {
        eprintln!("skipped: {language}: {}", ran.stderr);
    }
    missing
}

/// Begins, builds and tests a component of each kind; the languages that were skipped.
fn new_build_test(languages: &[&'static str]) -> Vec<&'static str> {
    let mut skipped = Vec::new();
    for &language in languages {
        for kind in ["policy", "template", "chat", "agent"] {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join(format!("my-{kind}"));
            let path = project.to_str().unwrap();
            run(&["component", "new", "--lang", language, "--kind", kind, path]).ok();
            let built = ran(&mut builder(&["component", "build", "--json", path]));
            if is_missing(language, &built) {
                skipped.push(language);
                break;
            }
            let built = built.ok().json();
            assert_eq!(built["name"], format!("my-{kind}"));
            let file = built["file"].as_str().unwrap();
            assert_eq!(fs::metadata(file).unwrap().len(), built["bytes"].as_u64().unwrap());
            // Its folder stands for the file, as for whoever made it.
            let report = run(&["test", "--json", path]).ok().json();
            assert_eq!(report["failed"], 0, "{language} {kind}: {report:#}");
            assert!(report["passed"].as_u64().is_some_and(|passed| passed > 0), "{language} {kind}: {report:#}");
        }
    }
    skipped
}

/// Tests the examples of each language against the cases of Rust's; the languages that were skipped.
fn test_examples(languages: &[&'static str]) -> Vec<&'static str> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut skipped = Vec::new();
    for &language in languages {
        for (example, shared) in [("min-p", "guest-examples/rust/min-p"), ("chatml", "templates/chatml")] {
            let folder = root.join("guest-examples").join(language).join(example);
            let same = fs::canonicalize(folder.join("cases")).unwrap();
            assert_eq!(same, fs::canonicalize(root.join(shared).join("cases")).unwrap());
            let tested = ran(&mut builder(&["test", "--json", folder.to_str().unwrap()]));
            if is_missing(language, &tested) {
                skipped.push(language);
                break;
            }
            let report = tested.ok().json();
            assert_eq!(report["failed"], 0, "{language} {example}: {report:#}");
            assert!(report["passed"].as_u64().is_some_and(|passed| passed > 0), "{language} {example}: {report:#}");
        }
    }
    skipped
}

#[test]
fn what_new_writes_builds_and_passes() {
    new_build_test(&LIGHT);
}

#[test]
fn the_examples_pass_the_cases_that_they_share() {
    test_examples(&["c", "zig"]);
}

#[test]
#[ignore = "CPython and QuickJS take minutes to compile; cargo xtask test --all runs it"]
fn interpreted_languages_do_as_well_and_none_is_skipped() {
    let everything: Vec<&'static str> = LIGHT.into_iter().chain(HEAVY).collect();
    assert_eq!(new_build_test(&everything), [""; 0]);
    assert_eq!(test_examples(&["c", "zig", "python", "javascript"]), [""; 0]);
}

#[test]
fn what_cannot_be_built_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let ran = run(&["component", "build", path]).failed(1);
    assert!(ran.stderr.contains("none of Cargo.toml, component.c"), "{}", ran.stderr);

    fs::write(folder.path().join("component.py"), "").unwrap();
    let ran = run(&["component", "build", path]).failed(1);
    assert!(ran.stderr.contains("component.toml is missing"), "{}", ran.stderr);

    fs::write(folder.path().join("component.toml"), "name = 1").unwrap();
    let ran = run(&["component", "build", path]).failed(1);
    assert!(ran.stderr.contains("component.toml"), "{}", ran.stderr);
}

#[test]
fn a_missing_tool_is_named_with_what_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let tools = [
        ("rust", "https://rustup.rs"),
        ("c", "pip install ziglang"),
        ("zig", "pip install ziglang"),
        ("python", "pip install componentize-py"),
        ("javascript", "npm install --global componentize-qjs"),
    ];
    for (language, install) in tools {
        let project = folder.path().join(language);
        let path = project.to_str().unwrap();
        run(&["component", "new", "--lang", language, "--kind", "policy", path]).ok();
        let built = ran(wasmlx(&["component", "build", path]).env("PATH", "")).failed(1);
        assert!(built.stderr.contains("is not installed"), "{language}: {}", built.stderr);
        assert!(built.stderr.contains(install), "{language}: {}", built.stderr);
    }
}

#[test]
fn new_leaves_alone_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let project: PathBuf = folder.path().join("mine");
    fs::create_dir(&project).unwrap();
    let ran = run(&["component", "new", "--lang", "c", "--kind", "policy", project.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("is there already"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&project).unwrap().count(), 0);
    run(&["component", "new", "--lang", "c", "--kind", "policy", "2nd"]).failed(2);
}
