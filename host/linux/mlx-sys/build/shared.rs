//! Linux: `libmlxc.so` from mlx-c's sources and the headers of MLX's wheel, `libmlxblas.so` from `blas.c`.
//!
//! Neither is linked into a program: `runtime.rs` opens them, and is told here in which folders they and the wheels
//! lie. A build whose result goes to another machine sets `MLX_SYS_PORTABLE=1`, and no folder is named in it.

use std::env;
use std::path::{Path, PathBuf};

/// Builds the two libraries into `out`.
pub fn build(mlx_c: &Path, out: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed=blas.c");
    println!("cargo::rerun-if-changed=prelude.h");
    println!("cargo::rerun-if-env-changed=MLX_SYS_PORTABLE");
    let wheels = wheels(out)?;
    let mlx_c_objects = compile_mlx_c(mlx_c, &wheels, out)?;
    let mlx = format!("-L{}", wheels.join("mlx/lib").display());
    link(&mlx_c_objects, &[&mlx, "-l:libmlx.so"], &out.join("libmlxc.so"))?;
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

/// The folder into which the wheels were unpacked.
fn wheels(out: &Path) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-env-changed=WASMLX_MLX_DIR");
    let named = env::var_os("WASMLX_MLX_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).map(|root| root.join("target"));
    // The target folder holds OUT_DIR, some levels up; in one that belongs to another workspace `setup` put nothing.
    let candidates: Vec<PathBuf> = match named {
        Some(named) => vec![named],
        None => out.ancestors().map(Path::to_path_buf).chain(workspace).map(|target| target.join("mlx")).collect(),
    };
    let found = candidates.iter().find(|folder| folder.join("mlx/lib/libmlx.so").is_file());
    let Some(found) = found else {
        return Err("MLX is not here yet: run `cargo xtask setup` in wasmlx's source tree. A program that embeds wasmlx \
                    from elsewhere sets WASMLX_MLX_DIR to a folder DIR of its own, after `pip install --no-deps --target \
                    DIR mlx-cpu==0.32.2 scipy-openblas32`"
            .to_string());
    };
    println!("cargo::rerun-if-changed={}", found.join("mlx/lib/libmlx.so").display());
    Ok(found.clone())
}

fn compile_mlx_c(mlx_c: &Path, wheels: &Path, out: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(mlx_c.join("mlx/c"))
        .map_err(|error| format!("cannot read mlx-c's sources: {error}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
        .collect();
    files.sort();
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
        .flag("-include")
        .flag("prelude.h")
        .files(files)
        .out_dir(out)
        .try_compile_intermediates()
        .map_err(|error| format!("cannot compile mlx-c, which needs a C++20 compiler (Debian: `apt install g++`): {error}"))
}

fn link(objects: &[PathBuf], libraries: &[&str], library: &Path) -> Result<(), String> {
    let mut command = cc::Build::new().cpp(true).cargo_metadata(false).get_compiler().to_command();
    command.args(["-shared", "-o"]).arg(library).args(objects).args(libraries);
    let status = command.status().map_err(|error| format!("cannot run the linker: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cannot link {}: {status}", library.display())) }
}
