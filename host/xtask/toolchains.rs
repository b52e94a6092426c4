//! What builds guests in other languages than Rust, kept in the target folder: Zig, which compiles C too, and for
//! `test --all` componentize-py and componentize-qjs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Wheel};
use crate::workspace::{self, Workspace, say};

/// Zig with its C library and its compiler of C. The versions here are those that `wasmlx component build` names.
const ZIG: Wheel = ("ziglang", "0.17.0");

/// CPython as a component, and what puts a program into it.
const COMPONENTIZE_PY: Wheel = ("componentize-py", "0.25.1");

/// QuickJS likewise.
const COMPONENTIZE_QJS: &str = "componentize-qjs@0.4.5";

/// Fetches what is missing; `all` with what takes half a minute a component.
pub(crate) fn install(workspace: &Workspace, all: bool) -> Result<()> {
    setup::wheels(workspace, &folder(workspace, "zig"), &[ZIG])?;
    // Unpacking a wheel leaves out who may run what.
    let zig = folder(workspace, "zig").join("ziglang/zig");
    fs::set_permissions(&zig, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", zig.display()))?;
    if !all {
        return Ok(());
    }
    setup::wheels(workspace, &folder(workspace, "componentize-py"), &[COMPONENTIZE_PY])?;
    let javascript = folder(workspace, "javascript");
    if !javascript.join("node_modules/.bin/componentize-qjs").is_file() {
        say(format_args!("fetching {COMPONENTIZE_QJS} into {}", javascript.display()));
        setup::require_npm()?;
        fs::create_dir_all(&javascript).with_context(|| format!("cannot make {}", javascript.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix"]);
        workspace::output(npm.arg(&javascript).arg(COMPONENTIZE_QJS)).context("npm cannot fetch it")?;
    }
    Ok(())
}

/// Lets a command find what is installed here, before what the machine has.
pub(crate) fn show(workspace: &Workspace, command: &mut Command) -> Result<()> {
    let before = |name: &str, folders: &[PathBuf]| -> Result<OsString> {
        let given = env::var_os(name).unwrap_or_default();
        let given = env::split_paths(&given).filter(|folder| !folder.as_os_str().is_empty());
        Ok(env::join_paths(folders.iter().cloned().chain(given))?)
    };
    let modules = [folder(workspace, "zig"), folder(workspace, "componentize-py")];
    let programs = [folder(workspace, "javascript").join("node_modules/.bin")];
    command.env("PYTHONPATH", before("PYTHONPATH", &modules)?).env("PATH", before("PATH", &programs)?);
    Ok(())
}

fn folder(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("toolchains").join(name)
}
