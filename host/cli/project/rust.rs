//! Rust: Cargo makes a module, whose world wit-bindgen wrote into it.

use std::path::PathBuf;
use std::process::Command;

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
