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
//! models/HOST/NAMESPACE/NAME/TAG/     views: a model's files by their own names, a folder a version
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
mod hashing;
mod home;
#[cfg(feature = "hub")]
pub mod hub;
mod import;
mod lock;
mod manifest;
mod manifests;
mod mapping;
mod model;
mod models;
mod name;
mod partial;
mod progress;
mod pull;
mod remove;
mod search;
mod sweep;
#[cfg(feature = "tls")]
pub mod tls;
mod usage;
mod verify;
mod versioned;
mod views;

use std::path::{Path, PathBuf};

use lock::FileLock;

pub use blobs::Blobs;
pub use catalogue::{CatalogueEntry, Checked, catalogue, catalogue_entry, catalogue_name, catalogue_table};
pub use components::{ComponentEntry, ComponentSource, InstalledComponents, Listing, Signer, is_component_name};
pub use digest::{Digest, GitHash};
pub use error::{StoreError, StoreErrorKind};
pub use estimate::{Basis, Holding, MemoryEstimate, ModelMemory, weights_bytes};
pub use facts::{CacheShape, LayerCounts, ModelFacts, Quantization, Runnable, SizeClass, Task};
pub use files::free_space;
pub use home::{HOME_VARIABLE, home};
pub use import::{Conversion, Imported};
pub use manifest::{Bindings, Manifest, ManifestFile, Source, check_paths};
pub use mapping::MAPPING;
pub use model::ModelFolder;
pub use models::{BrokenModel, Content, ModelList, StoredModel, UnfinishedModel};
pub use name::{HUB, LOCAL, Name};
pub use partial::{Opened, Partial, PartialKey};
pub use progress::{Meter, Monitor, Progress, Stage};
pub use pull::{Pull, WantedFile};
pub use remove::Removed;
pub use search::{
    CachedAnswer, Candidate, Fits, Found, Origin, SearchCache, SearchQuery, Sort, Surroundings, TRUSTED_PUBLISHERS,
    quality, select,
};
pub use sweep::Swept;
pub use usage::Usage;
pub use verify::{Fault, Verified};

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

    /// Where views of models lie: folders with their files.
    pub fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    /// The components that were installed.
    pub fn components(&self) -> InstalledComponents {
        InstalledComponents::new(self.home.join("components"), self.read_only)
    }

    /// Where compiled components are kept. It may be deleted at any time.
    pub fn compiled_components(&self) -> PathBuf {
        self.home.join("cache").join("components")
    }

    /// Lets nobody else change the store, nor look at it, for the moment of a change.
    fn lock_to_write(&self) -> Result<FileLock, StoreError> {
        let path = self.home.join("store.lock");
        match self.read_only {
            true => Err(lock::read_only(&path, lock::OPENED_SO)),
            false => FileLock::exclusive(&path),
        }
    }

    /// Lets nobody change the store for the moment of a look. None where there is nothing to look at.
    fn lock_to_read(&self) -> Result<Option<FileLock>, StoreError> {
        FileLock::shared(&self.home.join("store.lock"))
    }

    #[cfg(feature = "default-model")]
    fn default_model(&self) -> Result<ModelFolder, StoreError> {
        let parent = self.home.join("builtin");
        match self.read_only {
            true => default_model::unpacked(&parent).ok_or_else(|| {
                let why = "it was opened so, and the built-in model, which was never used, is to be unpacked there";
                lock::read_only(&parent, why)
            }),
            false => default_model::unpack(&parent),
        }
    }

    #[cfg(not(feature = "default-model"))]
    fn default_model(&self) -> Result<ModelFolder, StoreError> {
        Err(StoreError::new(
            StoreErrorKind::NotFound,
            "this build carries no model of its own; name one with -m, a folder or a name in the store",
        ))
    }
}

#[cfg(all(test, feature = "default-model"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_default_model_is_unpacked_once_and_mended_when_damaged() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path());
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
