//! Writes `../bindings.rs`: mlx-c's types as bindgen sees them, and its functions inside one `functions!` call,
//! which `../lib.rs` expands to what the platform needs (symbols linked in, or looked up in a loaded library).

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "../published.rs"]
mod published;

const HEAD: &str = "\
//! mlx-c's C interface, written by `bindings-generator` from the headers of the published mlx-sys 0.7.0: do not edit.
//! The file is long because the interface is.

/// IEEE 754 half precision, as its bits.
#[repr(transparent)]
#[derive(Debug, Default, Copy, Clone)]
pub struct float16_t(pub u16);

/// bfloat16, as its bits.
pub type bfloat16_t = u16;

/// C's `FILE`, behind pointers only.
#[repr(C)]
pub struct FILE {
    _opaque: [u8; 0],
}

";

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = published::mlx_c_sources(&env::temp_dir().join("mlx-sys-bindings-generator"))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut headers: Vec<PathBuf> = fs::read_dir(sources.join("mlx/c"))
        .expect("mlx-c's headers")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "h"))
        .collect();
    headers.sort();
    let builder = bindgen::Builder::default()
        .clang_arg(format!("-I{}", sources.display()))
        // mlx-c declares its half-precision functions on Arm only; every platform of ours has them.
        .clang_args(["-DHAS_FLOAT16", "-DHAS_BFLOAT16", "-include"])
        .clang_arg(here.join("halves.h").to_string_lossy())
        .allowlist_item("_?mlx_.*")
        .blocklist_type("float16_t|bfloat16_t|FILE|_IO_FILE|__off_t|__off64_t")
        .disable_header_comment()
        // A function with variable arguments and a static cannot be looked up in the same way; mlx-rs uses neither.
        .blocklist_function("_mlx_error")
        .blocklist_var("mlx_array_empty")
        .layout_tests(false)
        .merge_extern_blocks(true);
    let text = headers
        .iter()
        .fold(builder, |builder, header| builder.header(header.to_string_lossy()))
        .generate()
        .expect("bindgen")
        .to_string();
    let (types, functions) = text.split_once("unsafe extern \"C\" {").expect("one merged block of functions");
    let text = format!("{HEAD}{types}functions! {{{functions}");
    fs::write(here.join("../bindings.rs"), text).expect("bindings.rs");
}
