//! Finds the components that `builtin.rs` embeds: in the folder that `WASMLX_COMPONENTS` names, else where
//! `cargo xtask guests` puts them, `components` in Cargo's target folder.

use std::env;
use std::path::PathBuf;

/// The same list as in `builtin.rs`.
const NAMES: [&str; 7] = ["jinja", "chatml", "llama3", "default-policy", "classic", "mirostat", "chat"];

fn main() {
    println!("cargo::rerun-if-env-changed=WASMLX_COMPONENTS");
    let named = env::var_os("WASMLX_COMPONENTS").map(PathBuf::from);
    let Some(folder) = named.or_else(in_target_folder) else {
        println!(
            "cargo::error=the components to be embedded are not built: run `cargo xtask guests`, or set \
             WASMLX_COMPONENTS to a folder that has them"
        );
        return;
    };
    for name in NAMES {
        let path = folder.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!("cargo::error=there is no {}: run `cargo xtask guests`", path.display());
        }
    }
    println!("cargo::rustc-env=WASMLX_COMPONENTS={}", folder.display());
}

/// `components` beside the profiles' folders: Cargo does not say where its target folder is, but this script's own
/// output lies in it.
fn in_target_folder() -> Option<PathBuf> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let mut candidates = out.ancestors().map(|folder| folder.join("components"));
    candidates.find(|folder| folder.join("jinja.wasm").is_file())
}
