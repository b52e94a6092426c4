//! Fuzzing: the targets of `tests/fuzz`, each by libFuzzer for a while.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, Workspace, say};

/// What builds the targets so that libFuzzer sees which code an input reaches.
const CARGO_FUZZ: &str = "0.13.2";

/// The most memory of a target, in MB: more is a finding.
const MEMORY: u32 = 2048;

/// The most seconds for one input: more is a finding.
const PATIENCE: u32 = 30;

/// Fuzzes every target for so many seconds. What is found lies in `tests/fuzz/artifacts`, what is learned in the target
/// folder.
pub(crate) fn run(workspace: &Workspace, seconds: u32) -> Result<()> {
    let tool = workspace.target.join("toolchains/cargo-fuzz");
    if !tool.join("bin/cargo-fuzz").is_file() {
        say(format_args!("installing cargo-fuzz {CARGO_FUZZ} in {}", tool.display()));
        let mut install = workspace.cargo_command();
        install.args(["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"]).arg(&tool);
        workspace::succeed(&mut install)?;
    }
    let mut found = Vec::new();
    for target in targets(workspace)? {
        say(format_args!("fuzzing {target} for {seconds} s"));
        let learned = workspace.target.join("fuzz/corpus").join(&target);
        fs::create_dir_all(&learned).with_context(|| format!("cannot make {}", learned.display()))?;
        // Safe Rust is fuzzed: it is panics, memory and time that are looked for, which no sanitizer finds.
        let mut fuzz = Command::new(tool.join("bin/cargo-fuzz"));
        fuzz.args(["fuzz", "run", "--sanitizer", "none", "--features", "mlx", "--fuzz-dir", "tests/fuzz", &target]);
        fuzz.arg(&learned).arg(workspace.root.join("tests/fuzz/corpus").join(&target));
        fuzz.arg("--").arg(format!("-max_total_time={seconds}"));
        fuzz.args([format!("-rss_limit_mb={MEMORY}"), format!("-timeout={PATIENCE}"), "-print_final_stats=1".into()]);
        fuzz.current_dir(&workspace.root)
            .env("CARGO_TARGET_DIR", workspace.target.join("fuzz"))
            .env("WASMLX_COMPONENTS", workspace.components())
            // What it tells the compiler is for nightly ones alone by name.
            .env("RUSTC_BOOTSTRAP", "1");
        if workspace::succeed(&mut fuzz).is_err() {
            found.push(target);
        }
    }
    ensure!(found.is_empty(), "fuzzing found something in {}: see tests/fuzz/artifacts", found.join(", "));
    Ok(())
}

/// The names of all targets.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("tests/fuzz/bins");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
