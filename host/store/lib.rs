//! The store: where models and components lie on disk, how a name becomes a folder, and a name a component.
//!
//! Everything the program writes lies in one folder, its [`home`]. A [`Store`] is a view of that folder; it
//! resolves what a user types (nothing at all, a name, a Hugging Face id, a path) to a [`ModelFolder`]. The model
//! that ships with the program ([`default_model`]) is a model like any other once it is unpacked. Components that
//! were installed lie in [`InstalledComponents`].
//!
//! ```text
//! store.lock                          held exclusively for the moment of a change, shared for that of a look
//! blobs/sha256-HEX                    files by what they are
//! blobs/partial/                      what is being fetched
//! manifests/HOST/NAMESPACE/NAME/      a manifest for each tag: a model's files by digest; intents of unfinished pulls
//! models/HOST/NAMESPACE/NAME/TAG/     views: a model's files by their own names
//! ```
//!
//! Whatever is cut short leaves at most blobs that nobody refers to. A blob is on the disk before the manifest that
//! refers to it, and that before the view; they go the other way round. Who refers to a blob is asked of the manifests
//! and never stored. Nobody holds the store's lock while hashing, copying or on the network; a lock on a single file
//! or pull is never waited for under it.

#![warn(missing_docs)]

mod blobs;
mod catalogue;
mod components;
#[cfg(feature = "default-model")]
pub mod default_model;
mod digest;
mod error;
mod estimate;
mod facts;
mod files;
mod home;
#[cfg(feature = "hub")]
pub mod hub;
mod lock;
mod manifest;
mod manifests;
mod model;
mod name;
mod partial;
mod progress;
mod pull;
mod search;
mod sweep;
#[cfg(feature = "tls")]
pub mod tls;
mod views;

use std::path::{Path, PathBuf};

use lock::FileLock;

pub use blobs::Blobs;
pub use catalogue::{CatalogueEntry, Checked, catalogue, catalogue_entry, catalogue_table};
pub use components::{ComponentEntry, InstalledComponents, Listing, is_component_name};
pub use digest::{Digest, GitHash};
pub use error::{StoreError, StoreErrorKind};
pub use estimate::{Basis, Holding, MemoryEstimate};
pub use facts::{CacheShape, LayerCounts, ModelFacts, Quantization, Runnable, SizeClass, Task};
pub use files::free_space;
pub use home::{HOME_VARIABLE, home};
pub use manifest::{Bindings, Manifest, ManifestFile, Source, check_paths};
pub use model::ModelFolder;
pub use name::{HUB, LOCAL, Name};
pub use partial::{Opened, Partial, PartialKey};
pub use progress::{Meter, Monitor, Progress, Stage};
pub use pull::{Pull, WantedFile};
pub use search::{
    CachedAnswer, Candidate, Fits, Found, Origin, SearchCache, SearchQuery, Sort, Surroundings, TRUSTED_PUBLISHERS,
    quality, select,
};
pub use sweep::Swept;

/// The environment variable that makes the store read-only: anything but nothing, `0` and `false`.
pub const READ_ONLY_VARIABLE: &str = "WASMLX_STORE_READ_ONLY";

/// The name by which the model that ships with the program is asked for; it is also what no name means.
pub const DEFAULT_MODEL: &str = "builtin";

/// The store under one home folder.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    read_only: bool,
}

impl Store {
    /// The store under `home`, which need not exist: folders are made when something is written. It is read-only where
    /// the environment says so ([`READ_ONLY_VARIABLE`]).
    pub fn open(home: impl Into<PathBuf>) -> Self {
        let read_only = std::env::var_os(READ_ONLY_VARIABLE);
        let read_only = read_only.is_some_and(|value| !["", "0", "false"].iter().any(|off| value == *off));
        Self { home: home.into(), read_only }
    }

    /// The store under `home`, in which nothing is written, no lock and no folder either.
    pub fn open_read_only(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), read_only: true }
    }

    /// Whether nothing may be written. A folder that cannot be written to is told by the first change alone.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The folder that holds everything.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The files of models, by digest.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(&self.home)
    }

    /// Where models lie: `models/NAME` or `models/OWNER/NAME`.
    pub fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    /// The components that were installed.
    pub fn components(&self) -> InstalledComponents {
        InstalledComponents::new(self.home.join("components"))
    }

    /// Where compiled components are kept. It may be deleted at any time.
    pub fn compiled_components(&self) -> PathBuf {
        self.home.join("cache").join("components")
    }

    /// The folder of a model.
    ///
    /// `name` is `builtin` or nothing (the model that ships with the program), a name in the store (`NAME` or, as on
    /// Hugging Face, `OWNER/NAME`), or a folder that holds a `config.json`. A model of the store wins over a folder of
    /// the same name here, which is meant by `./NAME`.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] says what there is instead; [`StoreErrorKind::InvalidModel`] where the folder has
    /// no `config.json`, [`StoreErrorKind::Io`] where that cannot be told.
    pub fn resolve(&self, name: Option<&str>) -> Result<ModelFolder, StoreError> {
        match name {
            None | Some(DEFAULT_MODEL) => self.default_model(),
            Some(name) => {
                let stored = self.stored_folder(name).filter(|folder| folder.is_dir());
                match stored.map(|folder| ModelFolder::open_named(name, folder)) {
                    Some(Ok(model)) => Ok(model),
                    _ if Path::new(name).is_dir() => ModelFolder::open(name.into()),
                    Some(Err(error)) => Err(error),
                    None => Err(self.not_found(name)),
                }
            }
        }
    }

    /// The names of the models in the store, sorted; the one that ships with the program is not among them.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, folder) in subfolders(&self.models()) {
            if folder.join("config.json").is_file() {
                names.push(name);
            } else {
                let owned = subfolders(&folder).into_iter().filter(|(_, inner)| inner.join("config.json").is_file());
                names.extend(owned.map(|(inner, _)| format!("{name}/{inner}")));
            }
        }
        names.sort();
        names
    }

    /// Lets nobody else change the store, nor look at it, for the moment of a change.
    fn lock_to_write(&self) -> Result<FileLock, StoreError> {
        let path = self.home.join("store.lock");
        match self.read_only {
            true => Err(lock::read_only(&path, "it was opened so")),
            false => FileLock::exclusive(&path),
        }
    }

    #[cfg(feature = "default-model")]
    fn default_model(&self) -> Result<ModelFolder, StoreError> {
        default_model::unpack(&self.home.join("builtin"))
    }

    #[cfg(not(feature = "default-model"))]
    fn default_model(&self) -> Result<ModelFolder, StoreError> {
        Err(StoreError::new(
            StoreErrorKind::NotFound,
            "this build carries no model of its own; name one with -m, a folder or a name in the store",
        ))
    }

    /// Where a name would lie. None for names that could lead out of the store.
    fn stored_folder(&self, name: &str) -> Option<PathBuf> {
        let mut folder = self.models();
        let mut parts = 0;
        for part in name.split('/') {
            let plain = !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
            parts += 1;
            if !plain || parts > 2 {
                return None;
            }
            folder.push(part);
        }
        Some(folder)
    }

    fn not_found(&self, name: &str) -> StoreError {
        let mut names = self.names();
        names.insert(0, DEFAULT_MODEL.to_owned());
        StoreError::new(
            StoreErrorKind::NotFound,
            format!(
                "no model '{name}': there is no such folder here, and the store in {} has: {}",
                self.models().display(),
                names.join(", ")
            ),
        )
    }
}

/// The folders in a folder, hidden ones left out; none where it cannot be read.
fn subfolders(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, path)| !name.starts_with('.') && path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn store_with(models: &[&str]) -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        for model in models {
            let folder = home.path().join("models").join(model);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("config.json"), "{}").unwrap();
        }
        let store = Store::open(home.path());
        (home, store)
    }

    #[test]
    fn a_name_is_a_folder_of_the_store() {
        let (home, store) = store_with(&["tiny", "mlx-community/Qwen3-0.6B-4bit"]);
        let model = store.resolve(Some("mlx-community/Qwen3-0.6B-4bit")).unwrap();
        assert_eq!(model.name(), "mlx-community/Qwen3-0.6B-4bit");
        assert_eq!(model.path(), home.path().join("models/mlx-community/Qwen3-0.6B-4bit"));
        assert_eq!(store.names(), ["mlx-community/Qwen3-0.6B-4bit", "tiny"]);
    }

    #[test]
    fn a_folder_anywhere_serves_and_is_named_by_its_last_part() {
        let (home, store) = store_with(&["tiny"]);
        let folder = home.path().join("models/tiny");
        let model = store.resolve(folder.to_str()).unwrap();
        assert_eq!(model.name(), "tiny");
        let roundabout = folder.join("../tiny/.");
        assert_eq!(store.resolve(roundabout.to_str()).unwrap(), model);
    }

    #[test]
    fn a_missing_model_names_what_there_is() {
        let (_home, store) = store_with(&["tiny"]);
        let error = store.resolve(Some("huge")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
        assert!(error.to_string().contains("builtin, tiny"), "{error}");
    }

    #[test]
    fn a_folder_that_is_no_model_says_what_it_lacks() {
        let (home, store) = store_with(&[]);
        let error = store.resolve(home.path().to_str()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidModel);
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    /// A file that is there and cannot be read is not the same as none.
    #[cfg(unix)]
    #[test]
    fn a_config_that_cannot_be_read_is_told() {
        let (home, store) = store_with(&[]);
        std::os::unix::fs::symlink("config.json", home.path().join("config.json")).unwrap();
        let error = store.resolve(home.path().to_str()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    #[test]
    fn no_name_leads_out_of_the_store() {
        let (_home, store) = store_with(&["tiny"]);
        for name in ["../tiny", "a/../../b", "..", "", "a/b/c", ".hidden", "C:tiny"] {
            assert!(store.stored_folder(name).is_none(), "{name}");
        }
    }

    #[cfg(feature = "default-model")]
    #[test]
    fn the_default_model_is_unpacked_once_and_mended_when_damaged() {
        let (home, store) = store_with(&[]);
        let model = store.resolve(None).unwrap();
        let weights = model.path().join("model.safetensors");
        let size = fs::metadata(&weights).unwrap().len();
        assert!(model.path().starts_with(home.path()));

        fs::write(&weights, b"torn").unwrap();
        let again = store.resolve(Some(DEFAULT_MODEL)).unwrap();
        assert_eq!(again.path(), model.path());
        assert_eq!(fs::metadata(&weights).unwrap().len(), size);
    }
}
