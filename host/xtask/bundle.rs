//! A release folder that runs on a machine without compilers or Python, wherever it is moved.
//!
//! ```text
//! wasmlx-VERSION-TRIPLE/
//!   wasmlx               the program, with its components and its model inside
//!   lib/                 Linux: MLX, OpenBLAS and mlx-c, where mlx-sys looks for them at run time
//!   mlx.metallib         macOS: Metal's kernels, where MLX looks for them
//!   licences/            of everything in the folder
//!   README.md LICENSE-*
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{self, Workspace, say};

/// What the release build left, and where.
struct Built {
    program: PathBuf,
    /// The build folder of mlx-sys.
    mlx_sys: PathBuf,
    /// Metal's kernels, on Apple's platforms.
    metallib: Option<PathBuf>,
}

/// Builds the release into `folder`, which must not exist or be an earlier bundle.
pub(crate) fn build(workspace: &Workspace, folder: Option<PathBuf>) -> Result<()> {
    let built = build_release(workspace)?;
    let triple = host_triple()?;
    let name = format!("wasmlx-{}-{triple}", env!("CARGO_PKG_VERSION"));
    let folder = folder.unwrap_or_else(|| workspace.target.join("bundle").join(name));
    clear(&folder)?;
    copy(&built.program, &folder.join("wasmlx"))?;
    match &built.metallib {
        Some(metallib) => copy(metallib, &folder.join("mlx.metallib"))?,
        None if cfg!(target_os = "linux") => copy_libraries(workspace, &built, &folder.join("lib"))?,
        None => {}
    }
    for name in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&workspace.root.join(name), &folder.join(name))?;
    }
    copy_licences(workspace, &built, &folder.join("licences"))?;
    check_portable(workspace, &folder)?;
    say(format_args!("bundle {} ({} MB)", folder.display(), size(&folder)? / 1_000_000));
    Ok(())
}

fn build_release(workspace: &Workspace) -> Result<Built> {
    let places = workspace.places();
    let with = |variable: &str, flag: &str| {
        let mut flags = env::var(variable).unwrap_or_default();
        for (place, name) in &places {
            flags.push_str(&format!(" {flag}={}={name}", place.display()));
        }
        flags.trim().to_string()
    };
    let mut command = workspace.cargo_command();
    command
        .args(["build", "--release", "--bin", "wasmlx", "--message-format=json-render-diagnostics"])
        .args(["--config", "profile.release.strip=\"symbols\""])
        .env("MLX_SYS_PORTABLE", "1")
        .env("RUSTFLAGS", with("RUSTFLAGS", "--remap-path-prefix"))
        .env("CFLAGS", with("CFLAGS", "-ffile-prefix-map"))
        .env("CXXFLAGS", with("CXXFLAGS", "-ffile-prefix-map"))
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the release build failed ({})", output.status);
    }
    built(&String::from_utf8_lossy(&output.stdout))
}

/// Reads where things lie from Cargo's messages, a JSON object a line.
fn built(messages: &str) -> Result<Built> {
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let path = |value: &Value| value.as_str().map(PathBuf::from);
    let program = messages.iter().filter(|message| message["target"]["name"] == "wasmlx");
    let program = program.filter_map(|message| path(&message["executable"])).next_back();
    let mlx_sys = messages.iter().find(|message| {
        message["reason"] == "build-script-executed"
            && message["package_id"].as_str().is_some_and(|package| package.contains("mlx-sys"))
    });
    let mlx_sys = mlx_sys.context("cargo ran no build script of mlx-sys")?;
    let environment = mlx_sys["env"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Built {
        program: program.context("cargo built no program wasmlx")?,
        mlx_sys: path(&mlx_sys["out_dir"]).context("cargo names no build folder of mlx-sys")?,
        metallib: environment.iter().find(|pair| pair[0] == "MLX_SYS_METALLIB").and_then(|pair| path(&pair[1])),
    })
}

fn host_triple() -> Result<String> {
    let version = workspace::output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_string())
}

/// Empties a folder, if what is in it looks like a bundle.
fn clear(folder: &Path) -> Result<()> {
    if folder.join("wasmlx").is_file() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    } else if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} holds something that is no bundle: name another folder", folder.display());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// MLX as its wheel lays it out, since its library looks for others from there; beside it what mlx-sys opens.
fn copy_libraries(workspace: &Workspace, built: &Built, lib: &Path) -> Result<()> {
    let wheels = workspace.wheels();
    for name in ["libmlxc.so", "libmlxblas.so"] {
        copy(&built.mlx_sys.join(name), &lib.join(name))?;
    }
    copy(&wheels.join("scipy_openblas32/lib/libscipy_openblas.so"), &lib.join("libscipy_openblas.so"))?;
    copy(&wheels.join("mlx/lib/libmlx.so"), &lib.join("mlx/lib/libmlx.so"))?;
    copy_folder(&wheels.join("mlx_cpu.libs"), &lib.join("mlx_cpu.libs"))?;
    // Used where the system has none.
    let mut compiler = std::process::Command::new(env::var_os("CXX").unwrap_or("c++".into()));
    let path = workspace::output(compiler.arg("-print-file-name=libstdc++.so.6"))?;
    copy(Path::new(path.trim()), &lib.join("libstdc++.so.6"))
}

fn copy_licences(workspace: &Workspace, built: &Built, licences: &Path) -> Result<()> {
    let mut tree = workspace.cargo_command();
    tree.args(["tree", "--package", "wasmlx", "--edges", "normal", "--prefix", "none", "--no-dedupe"]);
    let crates = workspace::output(tree.args(["--format", "{p} | {l}"]))?;
    let root = format!(" ({}", workspace.root.display());
    let mut crates: Vec<&str> = crates.lines().filter(|line| !line.contains(&root)).collect();
    crates.sort_unstable();
    crates.dedup();
    let text = format!("# Rust packages in the program, and their licences\n\n{}\n", crates.join("\n"));
    fs::create_dir_all(licences).with_context(|| format!("cannot make {}", licences.display()))?;
    fs::write(licences.join("rust-packages.md"), text)?;
    if cfg!(target_os = "linux") {
        copy(&built.mlx_sys.join("mlx-c.licence"), &licences.join("mlx-c/LICENSE"))?;
        let gcc = Path::new("/usr/share/doc/libstdc++6/copyright");
        if gcc.is_file() {
            copy(gcc, &licences.join("libstdc++/copyright"))?;
        }
        for entry in fs::read_dir(workspace.wheels())? {
            let folder = entry?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(wheel) = name.strip_suffix(".dist-info") {
                copy_folder(&folder.join("licenses"), &licences.join(wheel))?;
            }
        }
    }
    Ok(())
}

/// No file of the bundle names a folder of this machine.
fn check_portable(workspace: &Workspace, folder: &Path) -> Result<()> {
    let foreign = [Some(workspace.root.clone()), Some(workspace.target.clone()), env::home_dir()];
    for path in files(folder)? {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for place in foreign.iter().flatten() {
            let name = format!("{}/", place.display());
            if bytes.windows(name.len()).any(|window| window == name.as_bytes()) {
                bail!("{} names {name}, which is a folder of this machine", path.display());
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for path in files(from)? {
        copy(&path, &to.join(path.strip_prefix(from)?))?;
    }
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    files(folder)?.iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
}

/// Every file under a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_things_lie() {
        let messages = r#"
{"reason":"build-script-executed","package_id":"path+file:///w/host/linux/mlx-sys#0.7.0","env":[["MLX_SYS_BUILT",""]],"out_dir":"/t/out"}
{"reason":"compiler-artifact","target":{"name":"wasmlx","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"wasmlx","kind":["bin"]},"executable":"/t/release/wasmlx"}
not JSON"#;
        let built = built(messages).unwrap();
        assert_eq!(built.program, Path::new("/t/release/wasmlx"));
        assert_eq!(built.mlx_sys, Path::new("/t/out"));
        assert_eq!(built.metallib, None);
    }

    #[test]
    fn only_bundles_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        fs::create_dir(&photos).unwrap();
        fs::write(photos.join("one"), "").unwrap();
        assert!(clear(&photos).is_err());
        assert!(photos.join("one").is_file());
        fs::write(photos.join("wasmlx"), "").unwrap();
        clear(&photos).unwrap();
        assert!(!photos.join("one").exists());
    }
}
