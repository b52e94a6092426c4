//! The program under `tests/embed`, built and run as one of its own, outside of this workspace.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Added to the program's manifest here: the profile and the features that the workspace's own build comes to, so that
/// nearly all of what the program needs is built already.
const AS_BUILT: &str = r#"
[profile.dev]
opt-level = 2
debug = false
incremental = true

[target.'cfg(unix)'.dependencies]
libc = { version = "0.2", features = ["extra_traits"] }
memchr = "2"
rustix = { version = "1", features = ["termios"] }
semver = { version = "1", default-features = false, features = ["serde", "std"] }
tokio = { version = "1", default-features = false, features = ["signal"] }
"#;

#[test]
fn a_program_embeds_the_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let project = scratch.join("embed");
    fs::create_dir_all(project.join("src")).unwrap();
    fs::copy(root.join("tests/embed/src/main.rs"), project.join("src/main.rs")).unwrap();
    let manifest = fs::read_to_string(root.join("tests/embed/Cargo.toml")).unwrap();
    let manifest = manifest.replace("../..", root.to_str().expect("UTF-8"));
    fs::write(project.join("Cargo.toml"), manifest + AS_BUILT).unwrap();
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", scratch.parent().expect("the folder of the build"))
        .env("WASMLX_HOME", scratch.join("home"))
        .output()
        .expect("cargo runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("asked for the weather in \"Rome\""), "{stderr}");
    assert_eq!(stdout, "It is 21 degrees and sunny in Rome.");
}
