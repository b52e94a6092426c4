//! The workspace: its folders, its packages, and Cargo called on it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Where the workspace and what is built of it lie.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

/// A package of the workspace, as `cargo metadata` describes it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) folder: PathBuf,
    /// Kinds of the library it is: `lib`, `cdylib`, ...; empty where it has none.
    pub(crate) library_kinds: Vec<String>,
    /// Names of the packages that it names as dependencies, for whatever platform and feature.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether only tests, examples and benches have it.
    pub(crate) only_tests: bool,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace's root")?;
        // The program itself lies in the target folder, under the profile's name, whatever Cargo was told it is.
        let program = env::current_exe().context("cannot tell where xtask lies")?;
        let target = program.ancestors().nth(2).context("cargo's target folder")?;
        Ok(Self { root: root.to_path_buf(), target: target.to_path_buf() })
    }

    /// The folder that `cargo xtask setup` unpacks MLX's wheels into.
    pub(crate) fn wheels(&self) -> PathBuf {
        self.target.join("mlx")
    }

    /// The folder of the finished components, which the binary embeds.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// Cargo, started in the workspace's root and told to use its target folder.
    pub(crate) fn cargo_command(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // What Cargo told this program of its own package. Build scripts that ask for these names (ring's does) would be
        // run anew, and all that needs them built anew, whenever somebody calls Cargo with xtask and then without.
        let of_package = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        for (name, _) in env::vars_os().filter(|(name, _)| of_package(name)) {
            command.env_remove(name);
        }
        command
    }

    /// Runs Cargo, which shows its own progress on stderr.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<()> {
        succeed(self.cargo_command().args(arguments))
    }

    /// Folders of this machine that compilers write into what they build (messages of panics name files), each with the
    /// name to put in its place.
    pub(crate) fn places(&self) -> Vec<(PathBuf, &'static str)> {
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
        let sources = cargo_home.map(|folder| (folder, "cargo"));
        std::iter::once((self.root.clone(), "wasmlx")).chain(sources).collect()
    }

    /// The workspace's own packages.
    pub(crate) fn packages(&self) -> Result<Vec<Package>> {
        let text = output(self.cargo_command().args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata gave no JSON")?;
        array(&metadata["packages"]).iter().map(package).collect()
    }
}

fn package(value: &Value) -> Result<Package> {
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let libraries = array(&value["targets"]).iter().flat_map(|target| array(&target["crate_types"]));
    Ok(Package {
        name: text(&value["name"]),
        folder: manifest.parent().context("a manifest lies in a folder")?.to_path_buf(),
        library_kinds: libraries.map(text).filter(|kind| kind != "bin").collect(),
        dependencies: array(&value["dependencies"])
            .iter()
            .map(|dependency| Dependency { name: text(&dependency["name"]), only_tests: dependency["kind"] == "dev" })
            .collect(),
    })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// Says on stderr what is being done.
pub(crate) fn say(line: impl std::fmt::Display) {
    eprintln!("xtask: {line}");
}

/// Runs a command, whose output goes where this program's goes.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{} failed ({status})", shown(command));
    Ok(())
}

/// Runs a command and returns what it prints on stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed ({}):\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", shown(command)))
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}
