//! Rust: Cargo makes a module, whose world wit-bindgen wrote into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wasmlx::ErrorKind;

use super::{Language, Project, encode, failed, tool};
use crate::failure::Result;

/// A component built for it imports nothing that its world does not.
const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn build(project: &Project) -> Result<Vec<u8>> {
    let hint = format!("what Cargo said is above; if the target is missing: `{}`", Language::Rust.install());
    let cargo = tool::on_path("cargo").ok_or_else(|| {
        failed(
            ErrorKind::NotFound,
            "Rust is not installed, which builds components in Rust",
            "https://rustup.rs installs it",
        )
    })?;
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(project.folder.join("Cargo.toml"));
    let messages = tool::run(&mut command, &hint)?;
    let module = messages.lines().filter_map(module_of).next_back().ok_or_else(|| {
        failed(
            ErrorKind::InvalidComponent,
            format_args!("{} builds no .wasm", project.folder.display()),
            "under `[lib]`, its Cargo.toml needs `crate-type = [\"cdylib\"]`",
        )
    })?;
    encode(&module)
}

/// The component that the workspace of a package keeps of it: `target/components/NAME.wasm`, by the folder's name.
pub(super) fn kept_by_workspace(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let file = Path::new("target/components").join(folder.file_name()?).with_added_extension("wasm");
    // Any folder above may have such a file; whether it is the package's, Cargo says. It is asked for nothing else.
    if !folder.ancestors().any(|above| above.join(&file).is_file()) {
        return None;
    }
    Some(workspace(&folder)?.join(file)).filter(|file| file.is_file())
}

/// The folder of the workspace that a package is a member of, which may be the package itself. None where Cargo is not
/// there, or finds something wrong with the two.
fn workspace(package: &Path) -> Option<PathBuf> {
    let mut cargo = Command::new(tool::on_path("cargo")?);
    cargo.args(["locate-project", "--workspace", "--message-format", "plain", "--manifest-path"]);
    let located = cargo.arg(package.join("Cargo.toml")).stdin(Stdio::null()).output().ok()?;
    if !located.status.success() {
        return None;
    }
    let manifest = String::from_utf8(located.stdout).ok()?;
    Path::new(manifest.trim_end()).parent().map(Path::to_path_buf)
}

/// The module that a message of Cargo's announces.
fn module_of(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    let mut files = files.iter().filter_map(Value::as_str);
    files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_among_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","filenames":["/t/a.d","/t/a.wasm"]}"#;
        assert_eq!(module_of(message), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(module_of(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(module_of("not JSON"), None);
    }
}
