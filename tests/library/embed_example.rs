//! The program under `tests/embed`, built and run as one of its own, outside of this workspace, with the manifest that
//! docs/EMBEDDING.md gives.

use std::fs;
use std::path::Path;
use std::process::Command;

const PACKAGE: &str = r#"
[package]
name = "embed-example"
version = "0.1.0"
edition = "2024"

[workspace]

"#;

const PUBLISHED: &str = r#"git = "https://github.com/wasmlx/wasmlx""#;

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
    let manifest = PACKAGE.to_owned() + &documented_manifest(root.to_str().expect("UTF-8")) + AS_BUILT;
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
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

/// Who reads the program in the repository sees the same manifest.
#[test]
fn the_examples_manifest_is_the_documented_one() {
    let manifest = include_str!("../embed/Cargo.toml");
    let documented = documented_manifest("../..");
    for line in documented.lines().filter(|line| !line.is_empty()) {
        assert!(manifest.lines().any(|own| own == line), "{line}");
    }
}

/// The manifest of docs/EMBEDDING.md, with this repository, which lies in `root`, in the place of the published one.
fn documented_manifest(root: &str) -> String {
    let (_, rest) = include_str!("../../docs/EMBEDDING.md").split_once("```toml\n").expect("the page has a manifest");
    let (manifest, _) = rest.split_once("```").expect("the block ends");
    let folders = [("wasmlx", ""), ("mlx-sys", "/host/linux/mlx-sys"), ("mach-sys", "/host/linux/mach-sys")];
    let line = |line: &str| {
        let package = line.split_once(" = ").map_or("", |(package, _)| package);
        match folders.iter().find(|(name, _)| *name == package) {
            Some((_, folder)) => line.replace(PUBLISHED, &format!("path = \"{root}{folder}\"")),
            None => line.to_owned(),
        }
    };
    let manifest: Vec<String> = manifest.lines().map(line).collect();
    manifest.join("\n") + "\n"
}
