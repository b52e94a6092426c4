//! Builds the Rust guests, all in one call of Cargo, and makes components of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

use crate::setup::{self, GuestToolchain, WASM_TARGET};
use crate::workspace::{self, Package, Workspace, say};

#[path = "../components/manifest/append.rs"]
#[allow(unreachable_pub, reason = "where it belongs it is reachable")]
mod manifest;

/// Folders whose packages are guests, where they build a module; the others there are libraries that guests share.
const FOLDERS: [&str; 2] = ["templates", "guest-examples/rust"];

/// Builds every guest into `target/components/FOLDER.wasm`, named after its folder. A component whose module Cargo
/// left alone is left alone too, so that nothing that embeds it is built again.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let guests: Vec<Package> =
        workspace.packages()?.into_iter().filter(|package| is_guest(package, &workspace.root)).collect();
    let target = workspace.target.join("guests");
    let mut command = cargo(workspace)?;
    command.args(["build", "--target", WASM_TARGET, "--profile", "guest", "--target-dir"]).arg(&target);
    // The same sources give the same component, byte for byte, on every machine with the same toolchain.
    let flags =
        workspace.places().into_iter().map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()));
    command.arg("--config").arg(format!("target.{WASM_TARGET}.rustflags={:?}", flags.collect::<Vec<_>>()));
    for guest in &guests {
        command.args(["--package", &guest.name]);
    }
    workspace::succeed(&mut command).context("the guests do not build")?;

    let components = workspace.components();
    fs::create_dir_all(&components).with_context(|| format!("cannot make {}", components.display()))?;
    for guest in &guests {
        let module = target.join(WASM_TARGET).join("guest").join(format!("{}.wasm", guest.name.replace('-', "_")));
        let folder = guest.folder.file_name().context("a guest has a folder")?;
        let component = components.join(folder).with_extension("wasm");
        let manifest = guest.folder.join("component.toml");
        if is_newer(&component, &module) && (!manifest.is_file() || is_newer(&component, &manifest)) {
            continue;
        }
        let module = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let mut bytes = encode(&module).with_context(|| format!("{} does not fit its world", guest.name))?;
        if manifest.is_file() {
            let text = fs::read(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
            manifest::append(&mut bytes, &text);
        }
        fs::write(&component, &bytes).with_context(|| format!("cannot write {}", component.display()))?;
        say(format_args!("component {} ({} KB)", component.display(), bytes.len().div_ceil(1000)));
    }
    Ok(())
}

fn is_guest(package: &Package, root: &Path) -> bool {
    let builds_module = package.library_kinds.iter().any(|kind| kind == "cdylib");
    builds_module && FOLDERS.iter().any(|folder| package.folder.parent() == Some(&root.join(folder)))
}

/// Cargo as it builds guests on this machine.
fn cargo(workspace: &Workspace) -> Result<Command> {
    let toolchain = setup::guest_toolchain(workspace)?
        .context("nothing here builds Rust for WebAssembly: run `cargo xtask setup`")?;
    if toolchain == GuestToolchain::Host {
        return Ok(workspace.cargo_command());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once("/usr/bin".into()).chain(std::env::split_paths(&path));
    let mut command = Command::new("/usr/bin/cargo");
    command
        .current_dir(&workspace.root)
        .env("PATH", std::env::join_paths(folders)?)
        .env("RUSTC", "/usr/bin/rustc")
        .env_remove("RUSTUP_TOOLCHAIN")
        // Debian's lld goes by its version; the name that rustc asks for is in a package of its own.
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-22")
        // Building the standard library is an unstable feature of Cargo's.
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("-Zbuild-std=std,panic_abort");
    Ok(command)
}

fn is_newer(component: &Path, module: &Path) -> bool {
    let modified = |path| fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((modified(component), modified(module)), (Ok(component), Ok(module)) if component > module)
}

/// A component of a module whose world wit-bindgen wrote into it.
fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, kind: &str) -> Package {
        Package {
            name: "guest".to_string(),
            folder: Path::new("/root-of-workspace").join(folder),
            library_kinds: vec![kind.to_string()],
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn guests_are_the_modules_under_two_folders() {
        let root = Path::new("/root-of-workspace");
        assert!(is_guest(&package("templates/chatml", "cdylib"), root));
        assert!(is_guest(&package("guest-examples/rust/chat", "cdylib"), root));
        assert!(!is_guest(&package("templates/support", "lib"), root));
        assert!(!is_guest(&package("host/text", "cdylib"), root));
    }

    #[test]
    fn what_is_no_module_becomes_no_component() {
        assert!(encode(b"not wasm").is_err());
    }
}
