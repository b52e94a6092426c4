//! Installs what is missing, and says so, a line each: MLX and OpenBLAS, the WebAssembly target, and what fetches them.
//!
//! Every check only looks at files, so that nothing is noticed of it where all is there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Workspace, say};

/// A package of PyPI, and its version.
pub(crate) type Wheel = (&'static str, &'static str);

/// MLX for the CPU. The version is the one that the mlx-sys of this workspace is compiled against; MLX for CUDA of the
/// same version takes its place at run time.
const MLX_WHEEL: Wheel = ("mlx-cpu", "0.32.2");

/// OpenBLAS as SciPy packages it: newer than distributions have it, and installed without being root.
const OPENBLAS_WHEEL: Wheel = ("scipy-openblas32", "0.3.34.481.3");

/// The target of guests: a component built for it imports nothing that its world does not.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Debian's Rust for building web browsers: new enough, and with the standard library's sources.
const DEBIAN_RUST: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// What builds guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestToolchain {
    /// The Rust that builds the host, which has the target's standard library.
    Host,
    /// Debian's Rust, which builds the standard library from its sources.
    Debian,
}

/// Installs what is missing.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    if cfg!(target_vendor = "apple") {
        // MLX is built from its sources by mlx-sys.
        require_program("cmake", "`brew install cmake`")?;
    } else {
        compiler()?;
        wheels(workspace, &workspace.wheels(), &[MLX_WHEEL, OPENBLAS_WHEEL])?;
    }
    if guest_toolchain(workspace)?.is_none() {
        install_guest_toolchain(workspace)?;
    }
    Ok(())
}

fn require_program(program: &str, how: &str) -> Result<()> {
    if found(program) { Ok(()) } else { bail!("{program} is missing: install it with {how}") }
}

/// Whether PATH has a program of this name.
fn found(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// mlx-c is C++.
fn compiler() -> Result<()> {
    if env::var_os("CXX").is_some() || found("c++") {
        return Ok(());
    }
    debian_packages(&["g++"]).context("a C++ compiler is missing")
}

/// That npm is there, which comes with Node.js.
pub(crate) fn require_npm() -> Result<()> {
    if found("npm") { Ok(()) } else { debian_packages(&["npm"]).context("npm is missing") }
}

/// Unpacks wheels into a folder that holds nothing else, without installing them into anyone's Python.
pub(crate) fn wheels(workspace: &Workspace, folder: &Path, wanted: &[Wheel]) -> Result<()> {
    if wanted.iter().all(|(name, version)| unpacked(folder, name, version)) {
        return Ok(());
    }
    let specifications: Vec<String> = wanted.iter().map(|(name, version)| format!("{name}=={version}")).collect();
    say(format_args!("fetching {} into {}", specifications.join(" and "), folder.display()));
    require_python()?;
    // Unpacked beside and renamed, so that an interrupted run leaves nothing that looks whole.
    let partial = workspace.target.join("wheels.partial");
    remove_folder(&partial)?;
    let downloads = partial.join("downloads");
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
    // `download`, unlike `install`, is never refused as being the system's business (PEP 668).
    workspace::output(
        pip(workspace)?
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(&downloads)
            .args(&specifications),
    )
    .with_context(|| format!("pip cannot fetch {}", specifications.join(" and ")))?;
    for wheel in fs::read_dir(&downloads)? {
        let wheel = wheel?.path();
        workspace::output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&partial))?;
    }
    remove_folder(&downloads)?;
    remove_folder(folder)?;
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::rename(&partial, folder).with_context(|| format!("cannot move {} into place", folder.display()))
}

/// A wheel's own record of its version, under the normalised name (PEP 427).
fn unpacked(folder: &Path, name: &str, version: &str) -> bool {
    folder.join(format!("{}-{version}.dist-info", name.replace('-', "_"))).is_dir()
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn require_python() -> Result<()> {
    if found("python3") {
        return Ok(());
    }
    debian_packages(&["python3", "python3-pip"]).context("Python 3 is missing")
}

/// pip: Python's own, or that of a virtual environment in the target folder, or Debian's.
fn pip(workspace: &Workspace) -> Result<Command> {
    let of = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-m", "pip"]);
        command
    };
    let works = |python: &Path| quiet(of(python).arg("--version"));
    let python = Path::new("python3");
    if works(python) {
        return Ok(of(python));
    }
    let environment = workspace.target.join("python");
    let inner = environment.join("bin/python");
    if works(&inner) || quiet(Command::new(python).args(["-m", "venv"]).arg(&environment)) && works(&inner) {
        return Ok(of(&inner));
    }
    debian_packages(&["python3-pip"]).context("Python has neither pip nor venv")?;
    Ok(of(python))
}

/// Whether a command runs and succeeds; what it prints is dropped.
fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What can build guests here, if anything can.
pub(crate) fn guest_toolchain(workspace: &Workspace) -> Result<Option<GuestToolchain>> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.current_dir(&workspace.root).args(["--print", "target-libdir", "--target", WASM_TARGET]);
    let libraries = PathBuf::from(workspace::output(&mut rustc)?.trim());
    if fs::read_dir(libraries).is_ok_and(|entries| entries.count() > 0) {
        return Ok(Some(GuestToolchain::Host));
    }
    let debian = ["/usr/bin/rustc", "/usr/bin/cargo"].iter().all(|program| Path::new(program).is_file())
        && workspace::output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file());
    Ok(debian.then_some(GuestToolchain::Debian))
}

fn install_guest_toolchain(workspace: &Workspace) -> Result<()> {
    if found("rustup") {
        say(format_args!("installing Rust's target {WASM_TARGET}"));
        let mut rustup = Command::new("rustup");
        rustup.current_dir(&workspace.root).args(["target", "add", WASM_TARGET]);
        match workspace::output(&mut rustup) {
            Ok(_) => return Ok(()),
            Err(error) => say(format_args!("{error:#}")),
        }
    }
    debian_packages(&DEBIAN_RUST).with_context(|| {
        format!("components cannot be built: `rustup target add {WASM_TARGET}` does not work on this machine either")
    })
}

/// Installs packages where that takes no password, else says what to type.
fn debian_packages(packages: &[&str]) -> Result<()> {
    let typed = format!("sudo apt-get install -y {}", packages.join(" "));
    if !found("apt-get") {
        bail!("install what Debian calls {} with this system's package manager", packages.join(", "));
    }
    let root = quiet(Command::new("sh").args(["-c", "test \"$(id -u)\" = 0"]));
    if !root && !quiet(Command::new("sudo").args(["-n", "true"])) {
        bail!("type `{typed}`, then try again");
    }
    say(format_args!("installing Debian's {}", packages.join(", ")));
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "apt-get"]);
        }
        workspace::output(command.args(["-qq", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install: Vec<&str> = ["install", "--no-install-recommends"].iter().chain(packages).copied().collect();
    // The lists of packages may be absent or old.
    if apt_get(&install).is_err() {
        apt_get(&["update"])?;
        apt_get(&install).with_context(|| format!("`{typed}` fails"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_counts_only_in_its_own_version() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("scipy_openblas32-0.3.34.481.3.dist-info")).unwrap();
        assert!(unpacked(folder.path(), OPENBLAS_WHEEL.0, "0.3.34.481.3"));
        assert!(!unpacked(folder.path(), OPENBLAS_WHEEL.0, "0.3.34"));
        assert!(!unpacked(folder.path(), MLX_WHEEL.0, MLX_WHEEL.1));
    }

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(found("sh"));
        assert!(!found("no-such-program-anywhere"));
    }
}
