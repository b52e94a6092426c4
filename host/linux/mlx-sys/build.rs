//! Builds mlx-c from the sources of the published mlx-sys: linked in on Apple's platforms, a shared library elsewhere.

use std::env;
use std::path::PathBuf;

#[cfg(target_vendor = "apple")]
#[path = "build/apple.rs"]
mod platform;

#[cfg(not(target_vendor = "apple"))]
#[path = "build/shared.rs"]
mod platform;

#[path = "published.rs"]
mod published;

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=published.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let built =
        published::mlx_c_sources(&out.join("mlx-c-sources")).and_then(|sources| platform::build(&sources, &out));
    if let Err(error) = built {
        println!("cargo::error={}", error.replace('\n', "; "));
        std::process::exit(1);
    }
}
