//! Files of other programs' models, which are no part of this repository.

use std::path::{Path, PathBuf};

/// The folder of `config.json` files of well-known models, by name; where `WASMLX_SHARED` is set it must be there.
pub(crate) fn configs() -> Option<Vec<(String, Vec<u8>)>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let named = std::env::var_os("WASMLX_SHARED").map(PathBuf::from);
    let must_be = named.is_some();
    let folder = named.unwrap_or(beside).join("model-configs");
    assert!(folder.is_dir() || !must_be, "WASMLX_SHARED is set, but {} is absent", folder.display());
    if !folder.is_dir() {
        eprintln!("skipped: no shared model configurations; set WASMLX_SHARED");
        return None;
    }
    let mut configs: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".config.json")?.to_owned();
            (!name.ends_with("generation")).then(|| (name, std::fs::read(&path).unwrap()))
        })
        .collect();
    configs.sort();
    Some(configs)
}
