//! The model that ships with the program, so that its main job runs with nothing downloaded.
//!
//! Its files lie inside the binary and are written out once, since everything that reads models reads files. The folder
//! `default-model` beside this file holds them with the model's card, its recipe and the attribution it owes.

use std::fs;
use std::path::Path;

use crate::{DEFAULT_MODEL, ModelFolder, StoreError, StoreErrorKind};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("default-model/", $name)))),*]
    };
}

/// The files of the model, by name. The weights are under CC BY 4.0: the card travels with them.
const FILES: &[(&str, &[u8])] = files![
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// Names this version of the files: a later model is written beside it and never mixed with it.
const VERSION: &str = "fable-22m-8bit-1";

/// The model's folder under `parent`, written now unless it is there whole.
///
/// # Errors
/// [`StoreErrorKind::Io`] where it cannot be written.
pub fn unpack(parent: &Path) -> Result<ModelFolder, StoreError> {
    if let Some(model) = unpacked(parent) {
        return Ok(model);
    }
    let folder = parent.join(VERSION);
    write(parent, &folder).map_err(|error| {
        StoreError::new(
            StoreErrorKind::Io,
            format!(
                "the built-in model could not be written to {}: {error}. Make room there, or set {} to a folder that \
                 may be written to",
                folder.display(),
                crate::HOME_VARIABLE
            ),
        )
    })?;
    ModelFolder::open_named(DEFAULT_MODEL, folder)
}

/// The model's folder under `parent`, where it is there whole.
pub fn unpacked(parent: &Path) -> Option<ModelFolder> {
    let folder = parent.join(VERSION);
    if is_whole(&folder) { ModelFolder::open_named(DEFAULT_MODEL, folder).ok() } else { None }
}

/// Sizes tell: files appear under this name whole, so only later damage can change them.
fn is_whole(folder: &Path) -> bool {
    FILES.iter().all(|(name, bytes)| {
        fs::metadata(folder.join(name)).is_ok_and(|file| file.is_file() && file.len() == bytes.len() as u64)
    })
}

/// Writes all files under another name first and moves them in place at the end, so that a process that starts
/// at the same time sees each file whole or not at all.
fn write(parent: &Path, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let staging = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(parent)?;
    for (name, bytes) in FILES {
        let staged = staging.path().join(name);
        fs::write(&staged, bytes)?;
        fs::File::open(&staged)?.sync_all()?;
        fs::rename(&staged, folder.join(name))?;
    }
    Ok(())
}
