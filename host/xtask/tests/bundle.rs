//! A bundle, moved to where nothing of its making is at hand.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::process::Command;

#[test]
#[ignore = "builds the release, which takes a quarter of an hour"]
fn a_bundle_runs_wherever_it_is_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (made, moved) = (folder.path().join("made"), folder.path().join("moved elsewhere"));
    let status = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("bundle").arg(&made).status().unwrap();
    assert!(status.success());
    fs::rename(&made, &moved).unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    // No compiler, no Python, no library of this machine by name.
    let output = Command::new(moved.join("wasmlx"))
        .args(["run", "What is the capital of Japan?", "--temperature", "0", "--quiet"])
        .env_clear()
        .env("PATH", &empty)
        .env("WASMLX_HOME", folder.path().join("home"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "The capital of Japan is Tokyo.\n");
    assert_eq!(output.status.code(), Some(0));
}
