//! A component under development: where its `.wasm` file and its cases are, and building it where it is not built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wasmlx::{ComponentRef, Error, ErrorKind};

use crate::failure::{Failure, Result};
use crate::output;

/// A component with its cases.
pub(crate) struct Guest {
    pub(crate) component: ComponentRef,
    pub(crate) cases: PathBuf,
}

impl Guest {
    /// Finds a component by its file or its folder. A folder's own `.wasm` file is taken, else one that was built of
    /// it before (`target/components/NAME.wasm` of its workspace), else a Cargo package is built now.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            let cases = path.parent().unwrap_or(Path::new("")).join("cases");
            return Ok(Self { component: path.into(), cases });
        }
        let cases = path.join("cases");
        if let Some(built) = built_before(path) {
            return Ok(Self { component: built.as_path().into(), cases });
        }
        let has_own = fs::read_dir(path).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "wasm"))
        });
        if has_own || !path.join("Cargo.toml").is_file() {
            // What is wrong with a folder that has none, or several, the library says.
            return Ok(Self { component: path.into(), cases });
        }
        Ok(Self { component: build(path)?, cases })
    }
}

fn built_before(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let file = Path::new(folder.file_name()?).with_extension("wasm");
    let components = folder.ancestors().map(|ancestor| ancestor.join("target/components").join(&file));
    components.into_iter().find(|component| component.is_file())
}

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds a Cargo package, and makes the module that comes of it a component.
fn build(folder: &Path) -> Result<ComponentRef> {
    output::aside(format_args!("building {}", folder.display()));
    let failed = |message: String| {
        Failure::Failed(
            Error::new(ErrorKind::InvalidComponent, message)
                .with_hint(format_args!("building guests needs `rustup target add {TARGET}`")),
        )
    };
    let built = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("cannot run cargo: {error}")))?;
    if !built.status.success() {
        return Err(failed(format!("{} does not build", folder.display())));
    }
    let module = String::from_utf8_lossy(&built.stdout).lines().filter_map(module_of).next_back();
    let module = module
        .ok_or_else(|| failed(format!("{} builds no .wasm: it needs `crate-type = [\"cdylib\"]`", folder.display())))?;
    let bytes = fs::read(&module).map_err(|error| failed(format!("cannot read {}: {error}", module.display())))?;
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(&bytes)?.encode();
    let component = encode().map_err(|error| failed(format!("{} fits no world: {error:#}", module.display())))?;
    let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(ComponentRef::Bytes { name, bytes: component.into() })
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

    #[test]
    fn cases_lie_beside_a_file_and_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        fs::write(&file, b"").unwrap();
        for path in [file.as_path(), folder.path()] {
            assert_eq!(Guest::find(path).unwrap().cases, folder.path().join("cases"));
        }
    }
}
