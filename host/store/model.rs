//! A folder with a model in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::lock::FileLock;
use crate::{Bindings, Manifest, StoreError, StoreErrorKind};

/// A folder by Hugging Face's conventions: `config.json`, `*.safetensors`, a tokenizer.
///
/// The files of a model of the store stay where they are while this lives, whatever becomes of the model meanwhile.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    name: String,
    path: PathBuf,
    is_stored: bool,
    bindings: Bindings,
    what_lacks: Option<String>,
    _in_use: Option<Arc<FileLock>>,
}

impl ModelFolder {
    /// A folder of the user's own, named by its last part. Whichever way it was written, it has one path.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        // What cannot be resolved is refused by what reads it.
        let path = path.canonicalize().unwrap_or(path);
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string());
        Self::open_named(&name, path)
    }

    pub(crate) fn open_named(name: &str, path: PathBuf) -> Result<Self, StoreError> {
        let config = path.join("config.json");
        let (kind, message) = match fs::metadata(&config) {
            Ok(file) if file.is_file() => return Ok(Self::of(name, path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                (StoreErrorKind::Io, format!("cannot read {}: {error}", config.display()))
            }
            _ if !path.is_dir() => (StoreErrorKind::InvalidModel, format!("there is no folder {}", path.display())),
            _ => (
                StoreErrorKind::InvalidModel,
                format!(
                    "{} is no model: it has no config.json. A model's folder holds config.json, model.safetensors and \
                     tokenizer.json, as on Hugging Face",
                    path.display()
                ),
            ),
        };
        Err(StoreError::new(kind, message))
    }

    /// The same model as one that the user has in the store.
    #[must_use]
    pub(crate) fn stored(self) -> Self {
        Self { is_stored: true, ..self }
    }

    /// The same model as the one of a manifest, bound to what its user said. What is `in_use` stays.
    #[must_use]
    pub(crate) fn of_manifest(self, manifest: Manifest, in_use: Option<FileLock>) -> Self {
        let what_lacks = manifest.what_lacks();
        Self { bindings: manifest.bindings, what_lacks, _in_use: in_use.map(Arc::new), ..self.stored() }
    }

    fn of(name: &str, path: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            path,
            is_stored: false,
            bindings: Bindings::default(),
            what_lacks: None,
            _in_use: None,
        }
    }

    /// Whether the store has it by its name; else it is a folder, or ships with the program.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// What to call it: its name in the store, or the folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files lie.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Manifest::what_lacks`].
    pub fn what_lacks(&self) -> Option<&str> {
        self.what_lacks.as_deref()
    }

    /// What its user bound it to.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }
}
