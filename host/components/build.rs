//! Finds the components that the host embeds, in the folder that `WASMLX_COMPONENTS` names, else where
//! `cargo xtask guests` puts them, `components` in Cargo's target folder, and writes the table that `builtin.rs` has.

use std::path::{self, PathBuf};
use std::{env, fs};

const NAMES: [&str; 7] = ["jinja", "chatml", "llama3", "default-policy", "classic", "mirostat", "chat"];

fn main() {
    println!("cargo::rerun-if-env-changed=WASMLX_COMPONENTS");
    let named = env::var_os("WASMLX_COMPONENTS").map(PathBuf::from);
    // The table is read from another folder than this one.
    let Some(folder) = named.or_else(in_target_folder).and_then(|folder| path::absolute(folder).ok()) else {
        println!(
            "cargo::error=the components to be embedded are not built: run `cargo xtask guests`, or set \
             WASMLX_COMPONENTS to a folder that has them"
        );
        return;
    };
    let mut table = String::from("&[\n");
    for name in NAMES {
        let path = folder.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!("cargo::error=there is no {}: run `cargo xtask guests`", path.display());
        }
        table += &format!("    ({name:?}, include_bytes!({path:?})),\n");
    }
    table.push(']');
    let written = out_folder().map(|out| fs::write(out.join("builtin.rs"), table));
    if !matches!(written, Some(Ok(()))) {
        println!("cargo::error=cannot write the table of embedded components to OUT_DIR");
    }
}

/// `components` beside the profiles' folders: Cargo does not say where its target folder is, but this script's own
/// output lies in it.
fn in_target_folder() -> Option<PathBuf> {
    let out = out_folder()?;
    let mut candidates = out.ancestors().map(|folder| folder.join("components"));
    candidates.find(|folder| folder.join("jinja.wasm").is_file())
}

fn out_folder() -> Option<PathBuf> {
    env::var_os("OUT_DIR").map(PathBuf::from)
}
