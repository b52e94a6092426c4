//! Linux: `libmlxc.so` from mlx-c's sources, `exit.cpp` and the headers of MLX's wheel, `libmlxblas.so` from `blas.c`.
//!
//! Neither is linked into a program: `runtime.rs` opens them, and is told here in which folders they and the wheels
//! lie. A build whose result goes to another machine sets `MLX_SYS_PORTABLE=1`, and no folder is named in it.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Builds the two libraries into `out`.
pub fn build(mlx_c: &Path, out: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed=blas.c");
    println!("cargo::rerun-if-changed=exit.cpp");
    println!("cargo::rerun-if-changed=prelude.h");
    println!("cargo::rerun-if-env-changed=MLX_SYS_PORTABLE");
    let wheels = wheels(out)?;
    let mlx_c_objects = compile_mlx_c(mlx_c, &wheels, out)?;
    let mlx = format!("-L{}", wheels.join("mlx/lib").display());
    link(&mlx_c_objects, &[&mlx, "-l:libmlx.so"], &out.join("libmlxc.so"))?;
    // A bundle of libmlxc.so carries it.
    fs::copy(mlx_c.join("LICENSE"), out.join("mlx-c.licence")).map_err(|error| format!("mlx-c's licence: {error}"))?;
    let blas = cc::Build::new().file("blas.c").opt_level(2).pic(true).cargo_metadata(false).compile_intermediates();
    let openblas = wheels.join("scipy_openblas32/lib");
    if openblas.is_dir() {
        let openblas = format!("-L{}", openblas.display());
        link(&blas, &[&openblas, "-l:libscipy_openblas.so"], &out.join("libmlxblas.so"))?;
    }

    let built = [out.to_path_buf(), wheels.clone(), wheels.join("scipy_openblas32/lib")];
    let built = env::join_paths(&built).map_err(|error| error.to_string())?;
    let portable = env::var_os("MLX_SYS_PORTABLE").is_some();
    println!("cargo::rustc-env=MLX_SYS_BUILT={}", if portable { "".into() } else { built.to_string_lossy() });
    Ok(())
}

/// The folder into which the wheels were unpacked: `WASMLX_WHEELS`, or `mlx` in the target folder of the build or of
/// this workspace.
fn wheels(out: &Path) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-env-changed=WASMLX_WHEELS");
    let named = env::var_os("WASMLX_WHEELS").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).map(|root| root.join("target"));
    // The build's target folder holds OUT_DIR, some levels up.
    let candidates: Vec<PathBuf> = match named {
        Some(named) => vec![named],
        None => out.ancestors().map(Path::to_path_buf).chain(workspace).map(|target| target.join("mlx")).collect(),
    };
    let found = candidates.iter().find(|folder| folder.join("mlx/lib/libmlx.so").is_file());
    let Some(found) = found else {
        return Err(
            "MLX is not here yet: run `cargo xtask setup` in wasmlx's source tree. A program that embeds wasmlx \
                    runs `pip install --no-deps --target target/mlx mlx-cpu==0.32.2 scipy-openblas32` in its own, or \
                    names another such folder in WASMLX_WHEELS"
                .to_string(),
        );
    };
    println!("cargo::rerun-if-changed={}", found.join("mlx/lib/libmlx.so").display());
    Ok(found.clone())
}

/// Compiles all of mlx-c as one file: each of its 27 files includes the whole of MLX, which costs more than the file.
fn compile_mlx_c(mlx_c: &Path, wheels: &Path, out: &Path) -> Result<Vec<PathBuf>, String> {
    let mut names: Vec<String> = fs::read_dir(mlx_c.join("mlx/c"))
        .map_err(|error| format!("cannot read mlx-c's sources: {error}"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".cpp"))
        .collect();
    names.sort();
    let whole: String = names.iter().map(|name| format!("#include \"mlx/c/{name}\"\n")).collect();
    let whole_file = out.join("mlx_c.cpp");
    fs::write(&whole_file, whole).map_err(|error| format!("cannot write {}: {error}", whole_file.display()))?;
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .opt_level(2)
        .debug(false)
        .pic(true)
        .warnings(false)
        .cargo_metadata(false)
        .include(mlx_c)
        .include(wheels.join("mlx/include"))
        // Its errors name the file they come from: `mlx/c/ops.cpp`, and no folder of this machine.
        .flag(format!("-ffile-prefix-map={}/=", mlx_c.display()))
        .flag("-include")
        .flag("prelude.h")
        .file(&whole_file)
        .file("exit.cpp")
        .try_compile_intermediates()
        .map_err(|error| {
            format!("cannot compile mlx-c, which needs a C++20 compiler (Debian: `apt install g++`): {error}")
        })
}

fn link(objects: &[PathBuf], libraries: &[&str], library: &Path) -> Result<(), String> {
    let mut command = cc::Build::new().cpp(true).cargo_metadata(false).get_compiler().to_command();
    command.args(["-shared", "-o"]).arg(library).args(objects).args(libraries);
    let status = command.status().map_err(|error| format!("cannot run the linker: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cannot link {}: {status}", library.display())) }
}
