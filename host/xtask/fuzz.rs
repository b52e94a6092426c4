//! Fuzzing: the targets of `tests/fuzz`, each by libFuzzer for a while, as many at a time as there are processors.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, say};

/// The most memory of a target, in MB: more is a finding.
const MEMORY: u32 = 2048;

/// The most seconds for one input: more is a finding.
const PATIENCE: u32 = 30;

/// How many lines of a target's log say what was found.
const LAST_LINES: usize = 30;

/// A folder in memory, where a system has one. Most targets write files and wait until the disk has them, which takes
/// ten times as long as the rest.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Where fuzzing reads and writes.
struct Fuzzing<'a> {
    program: PathBuf,
    seconds: NonZero<u32>,
    /// `tests/fuzz`: a corpus and perhaps a dictionary for each target.
    sources: PathBuf,
    /// In the target folder: what is learned, and logs.
    kept: PathBuf,
    /// Where the targets write.
    temporary: PathBuf,
    workspace: &'a Workspace,
}

/// Fuzzes every target for so many seconds. What is found lies in `tests/fuzz/artifacts`; what is learned, and each
/// target's log, in the target folder.
pub(crate) fn run(workspace: &Workspace, seconds: NonZero<u32>) -> Result<()> {
    let kept = workspace.target.join("fuzz");
    let memory = Path::new(MEMORY_FOLDER);
    let temporary = if memory.is_dir() { memory } else { &kept }.join(format!("wasmlx-fuzz-{}", std::process::id()));
    let fuzzing = Fuzzing {
        program: build(workspace)?,
        seconds,
        sources: workspace.root.join("tests/fuzz"),
        kept,
        temporary,
        workspace,
    };
    let targets = fuzzing.targets()?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get).min(targets.len());
    say(format_args!("fuzzing {} targets, {seconds} s each, {processors} at a time", targets.len()));
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let found = thread::scope(|scope| -> Result<Vec<&str>> {
        let one_by_one = || -> Result<Vec<&str>> {
            let mut found = Vec::new();
            while let Some(target) = next() {
                if !fuzzing.fuzz(target)? {
                    found.push(&**target);
                }
            }
            Ok(found)
        };
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(one_by_one)).collect();
        let mut found = Vec::new();
        for worker in workers {
            found.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(found)
    });
    // libFuzzer ends without dropping anything.
    let _ = fs::remove_dir_all(&fuzzing.temporary);
    let found = found?;
    ensure!(found.is_empty(), "fuzzing found something in {}: see tests/fuzz/artifacts", found.join(", "));
    Ok(())
}

/// Builds the program that has every target. What we wrote is built anew, instrumented, beside the build of the tests,
/// and the libraries from outside are mostly those of that build.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = workspace.cargo_command();
    build.args(["build", "--workspace", "--features", "wasmlx-fuzz/libfuzzer", "--bin", "wasmlx-fuzz"]);
    build.env("RUSTC_WORKSPACE_WRAPPER", workspace.root.join("tests/fuzz/instrument.sh"));
    crate::workspace::succeed(&mut build)?;
    Ok(workspace.target.join("debug/wasmlx-fuzz"))
}

impl Fuzzing<'_> {
    /// The names of all targets.
    fn targets(&self) -> Result<Vec<String>> {
        let folder = self.sources.join("corpus");
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Fuzzes one target. Whether nothing was found.
    fn fuzz(&self, target: &str) -> Result<bool> {
        let learned = made(self.kept.join("corpus").join(target))?;
        let artifacts = made(self.sources.join("artifacts"))?;
        let log = made(self.kept.join("logs"))?.join(target);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut fuzz = Command::new(&self.program);
        fuzz.arg(&learned).arg(self.sources.join("corpus").join(target));
        fuzz.arg(format!("-max_total_time={}", self.seconds));
        fuzz.args([format!("-rss_limit_mb={MEMORY}"), format!("-timeout={PATIENCE}")]);
        fuzz.arg(format!("-artifact_prefix={}/{target}-", artifacts.display()));
        let dictionary = self.sources.join("dictionaries").join(target);
        if dictionary.is_file() {
            fuzz.arg(format!("-dict={}", dictionary.display()));
        }
        fuzz.env("WASMLX_FUZZ", target).env("TMPDIR", made(self.temporary.join(target))?);
        fuzz.current_dir(&self.workspace.root).stdout(output.try_clone()?).stderr(output);
        let status = fuzz.status().with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if status.success() {
            let done = said.lines().rev().find_map(|line| line.split_once("DONE")).map_or("", |(_, counts)| counts);
            say(format_args!("{target}: {}", done.trim()));
        } else {
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            say(format_args!("{target} found something ({status}); {} ends:\n{}", log.display(), last.join("\n")));
        }
        Ok(status.success())
    }
}

/// A folder, made where it is missing.
fn made(folder: impl AsRef<Path>) -> Result<PathBuf> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_owned())
}
