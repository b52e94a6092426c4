//! Apple's platforms, as the published mlx-sys builds there: MLX and mlx-c by CMake, static, with Metal and Accelerate
//! as the features say. One thing differs: MLX is optimised in every profile, since a debug build of it is of no use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Builds MLX and mlx-c and names the libraries and frameworks to link.
pub fn build(mlx_c: &Path, _out: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=MLX_RS_METAL_PATH");
    let mut config = cmake::Config::new(mlx_c);
    config
        .define("CMAKE_INSTALL_PREFIX", ".")
        .define("MLX_C_BUILD_EXAMPLES", "OFF")
        // Xcode's compiler knows the SDK; another clang on PATH may not.
        .define("CMAKE_C_COMPILER", "/usr/bin/cc")
        .define("CMAKE_CXX_COMPILER", "/usr/bin/c++")
        .define("CMAKE_BUILD_TYPE", "Release")
        .define("MLX_BUILD_METAL", switch(cfg!(feature = "metal")))
        .define("MLX_METAL_JIT", switch(cfg!(feature = "metal-jit")))
        .define("MLX_BUILD_ACCELERATE", switch(cfg!(feature = "accelerate")));
    if cfg!(feature = "metal") {
        let folder = metallib_folder()?;
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        config.define("MLX_METAL_PATH", &folder);
        // `cargo xtask bundle` reads it from Cargo's messages.
        println!("cargo::rustc-env=MLX_SYS_METALLIB={}", folder.join("mlx.metallib").display());
    }
    let built = config.build().join("build");

    println!("cargo::rustc-link-search=native={}", built.join("lib").display());
    println!("cargo::rustc-link-search=native={}", built.display());
    // CMake leaves the GGUF reader and the Thunderbolt transport in their own build folders.
    println!("cargo::rustc-link-search=native={}", built.join("_deps/mlx-build/mlx/io").display());
    println!("cargo::rustc-link-search=native={}", built.join("jaccl").display());
    let libraries = mlx_c.join("../../native-libraries.txt");
    let libraries =
        fs::read_to_string(&libraries).map_err(|error| format!("cannot read {}: {error}", libraries.display()))?;
    for library in libraries.lines() {
        if library != "jaccl" || built.join("jaccl/libjaccl.a").is_file() {
            println!("cargo::rustc-link-lib=static={library}");
        }
    }
    println!("cargo::rustc-link-lib=c++");
    println!("cargo::rustc-link-lib=dylib=objc");
    println!("cargo::rustc-link-lib=framework=Foundation");
    if cfg!(feature = "metal") {
        println!("cargo::rustc-link-lib=framework=Metal");
    }
    if cfg!(feature = "accelerate") {
        println!("cargo::rustc-link-lib=framework=Accelerate");
    }
    // MLX asks for the platform's version, which calls a function of Xcode's own compiler runtime.
    if let Some(folder) = compiler_runtime() {
        println!("cargo::rustc-link-search={}", folder.display());
        println!("cargo::rustc-link-lib=static=clang_rt.osx");
    }
    Ok(())
}

fn switch(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Where `mlx.metallib` goes. Its path is compiled into MLX, so it lies outside the target folder, which people move
/// and delete; a metallib for run-time compilation holds few kernels and must not take the place of a whole one.
fn metallib_folder() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os("MLX_RS_METAL_PATH") {
        return Ok(PathBuf::from(folder));
    }
    let home =
        env::var_os("HOME").ok_or("HOME is not set, and MLX_RS_METAL_PATH does not say where mlx.metallib goes")?;
    let kind = if cfg!(feature = "metal-jit") { "0.7.0-jit" } else { "0.7.0" };
    Ok(PathBuf::from(home).join(".mlx/lib").join(kind))
}

/// The folder of `libclang_rt.osx.a`, if Xcode is installed.
fn compiler_runtime() -> Option<PathBuf> {
    let output = Command::new("xcode-select").arg("--print-path").output().ok()?;
    let developer = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let versions = fs::read_dir(developer.join("Toolchains/XcodeDefault.xctoolchain/usr/lib/clang")).ok()?;
    let mut folders = versions.flatten().map(|version| version.path().join("lib/darwin"));
    folders.find(|folder| folder.join("libclang_rt.osx.a").exists())
}
