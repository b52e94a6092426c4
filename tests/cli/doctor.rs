//! `wasmlx doctor` and `wasmlx debug-report`.

use crate::support::{field_names, run, wasmlx};

#[test]
fn doctor_finds_this_machine_fit() {
    let report = run(&["doctor", "--json"]).ok().json();
    assert_eq!(field_names(&report), ["checks", "fit", "version"]);
    assert_eq!(report["fit"], true);
    let names: Vec<&str> =
        report["checks"].as_array().expect("a list").iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in ["version", "processor", "home", "components", "built-in model", "device"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let text = run(&["doctor"]).ok().stdout;
    assert!(text.ends_with("This machine is fit.\n"), "{text}");
}

/// A device that does not work is told with a way out, and what needs none works all the same.
#[cfg(target_os = "linux")]
#[test]
fn doctor_says_why_a_device_does_not_work() {
    let nowhere = tempfile::tempdir().unwrap();
    let output = wasmlx(&["doctor"]).env("WASMLX_MLX_DIR", nowhere.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().find(|line| line.contains("device:")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.starts_with("FAILED") && line.contains("MLX"), "{line}");
    assert!(text.lines().any(|line| line.starts_with("ok") && line.contains("components:")), "{text}");

    let run = wasmlx(&["run", "hello"]).env("WASMLX_MLX_DIR", nowhere.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert!(stderr.contains("MLX") && stderr.contains("hint:"), "{stderr}");
}

#[test]
fn a_home_that_cannot_be_written_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = wasmlx(&["doctor"]).env("WASMLX_HOME", file.path().join("below-a-file")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAILED  home:") && text.contains("WASMLX_HOME"), "{text}");
}

#[test]
fn a_home_that_is_only_read_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    for arguments in [["doctor"], ["debug-report"]] {
        wasmlx(&arguments).env("WASMLX_HOME", &home).env("WASMLX_STORE_READ_ONLY", "1").output().unwrap();
        assert!(!home.exists(), "{arguments:?}");
    }
}

#[test]
fn a_debug_report_has_no_secrets() {
    for arguments in [&["debug-report"][..], &["debug-report", "--json"]] {
        let output = wasmlx(arguments).env("HF_TOKEN", "hf_do_not_tell").env("OTHER", "not ours").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("hf_do_not_tell") && !text.contains("not ours"), "{text}");
        assert!(text.contains("HF_TOKEN") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
}
