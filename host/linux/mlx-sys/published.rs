//! Finds mlx-c's sources in the published mlx-sys, so that no file of mlx-c is copied into this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The published crate that this one stands in for; Cargo checks its hash against the registry's index.
const PUBLISHED: &str = "=0.7.0";

/// The folder of mlx-c's sources inside the published mlx-sys, which Cargo fetches if it must.
///
/// A patched dependency hides the published crate from the workspace, so `scratch` gets a manifest of its own
/// that depends on it and on nothing else, and `cargo metadata` on that names where Cargo unpacked the crate.
pub fn mlx_c_sources(scratch: &Path) -> Result<PathBuf, String> {
    let manifest = scratch.join("Cargo.toml");
    let text = format!(
        "[package]\nname = \"mlx-c-sources\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
         [lib]\npath = \"lib.rs\"\n[dependencies]\nmlx-sys = \"{PUBLISHED}\"\n[workspace]\n"
    );
    fs::create_dir_all(scratch)
        .and_then(|()| fs::write(&manifest, text))
        .and_then(|()| fs::write(scratch.join("lib.rs"), ""))
        .map_err(|error| format!("cannot write {}: {error}", manifest.display()))?;
    // Offline first: what an earlier build fetched needs no network and no waiting for the index.
    let mut output = cargo_metadata(&manifest, &["--offline"])?;
    if !output.status.success() {
        output = cargo_metadata(&manifest, &[])?;
    }
    if !output.status.success() {
        return Err(format!(
            "`cargo metadata` could not fetch mlx-sys {PUBLISHED}, whose package holds mlx-c's sources:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata = String::from_utf8_lossy(&output.stdout);
    manifest_folders(&metadata)
        .map(|folder| folder.join("src/mlx-c"))
        .find(|sources| sources.join("mlx/c/mlx.h").is_file())
        .ok_or_else(|| format!("no package of `cargo metadata` on {} holds src/mlx-c", manifest.display()))
}

fn cargo_metadata(manifest: &Path, arguments: &[&str]) -> Result<Output, String> {
    Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run `cargo metadata`: {error}"))
}

/// The folder of every package that `cargo metadata` names: enough of a JSON reader for one kind of string.
fn manifest_folders(metadata: &str) -> impl Iterator<Item = PathBuf> {
    metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| {
        let path = rest.split('"').next()?.replace("\\\\", "\\");
        Some(Path::new(&path).parent()?.to_path_buf())
    })
}
