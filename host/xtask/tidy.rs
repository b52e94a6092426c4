//! The rules of the house that no compiler checks: who may depend on whom, how files open, what the map names.

mod edges;
mod files;
mod map;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, Workspace, say};

/// Every rule, formatting and lints.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    structure(workspace)?;
    // Lints check the workspace as a build of its own, which takes minutes the first time: so `test` leaves them out.
    if has_component(workspace, "clippy") {
        workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    } else {
        say("clippy is not installed (`rustup component add clippy`): lints are not checked");
    }
    Ok(())
}

/// What takes no compiling: the rules and formatting.
pub(crate) fn structure(workspace: &Workspace) -> Result<()> {
    let packages = workspace.packages()?;
    let map = workspace.root.join("docs/ARCHITECTURE.md");
    let map = fs::read_to_string(&map).with_context(|| format!("cannot read {}", map.display()))?;
    let mut faults = edges::faults(&packages);
    faults.extend(map::faults(&packages, &map));
    faults.extend(files::faults(&workspace.root)?);
    for fault in &faults {
        say(fault);
    }
    ensure!(faults.is_empty(), "{} breaches of the rules above", faults.len());
    if has_component(workspace, "fmt") {
        workspace.cargo(&["fmt", "--all", "--check"]).context("`cargo fmt --all` puts it right")?;
    } else {
        say("rustfmt is not installed (`rustup component add rustfmt`): formatting is not checked");
    }
    Ok(())
}

/// Whether Cargo has this subcommand, which rustup installs by itself.
fn has_component(workspace: &Workspace, name: &str) -> bool {
    workspace::output(workspace.cargo_command().args([name, "--version"])).is_ok()
}
