//! The manifests of the store: reading, writing and listing them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::files::{
    UNFINISHED, entries, files_with, io_error, make_folder, read_if_there, remove_empty, remove_file, sync_folder,
    write_whole,
};
use crate::manifest::MANIFEST_BYTES;
use crate::{Manifest, Name, Store, StoreError, StoreErrorKind};

/// What ends a manifest's name, and that of an intent.
const MANIFEST: &str = ".json";
const INTENT: &str = ".json.pulling";

/// A model's name, and its manifest or why that cannot be used.
pub(crate) type NamedManifest = (Name, Result<Manifest, StoreError>);

impl Store {
    /// Where manifests lie.
    pub(crate) fn manifests_folder(&self) -> PathBuf {
        self.home().join("manifests")
    }

    /// Where the manifest of a name lies.
    pub(crate) fn manifest_path(&self, name: &Name) -> PathBuf {
        self.manifests_folder().join(name.path()).with_added_extension("json")
    }

    /// The manifest of a name; none where there is none.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidManifest`] for one that cannot be used; [`StoreErrorKind::Io`].
    pub fn manifest(&self, name: &Name) -> Result<Option<Manifest>, StoreError> {
        let path = self.manifest_path(name);
        let Some(text) = read_if_there(&path, MANIFEST_BYTES)? else { return Ok(None) };
        Manifest::parse(&text, name).map(Some).map_err(|why| {
            let file = path.display();
            StoreError::new(
                StoreErrorKind::InvalidManifest,
                format!(
                    "the manifest of the model {name}, {file}, cannot be used: {why}. Pull or import the model again, or \
                     remove it by `wasmlx store rm {name}`"
                ),
            )
        })
    }

    /// All manifests, by name; those that cannot be used say why.
    ///
    /// # Errors
    /// [`StoreErrorKind::Io`] where a folder cannot be read.
    pub(crate) fn manifests(&self) -> Result<Vec<NamedManifest>, StoreError> {
        let read = |name: Name| match self.manifest(&name) {
            Ok(manifest) => manifest.map(|manifest| (name, Ok(manifest))),
            Err(error) => Some((name, Err(error))),
        };
        Ok(self.model_names()?.into_iter().filter_map(read).collect())
    }

    /// The names of the models of which an intent is there.
    pub(crate) fn intent_names(&self) -> Result<Vec<Name>, StoreError> {
        self.names_of(INTENT)
    }

    /// Writes a manifest, for who holds the lock.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.manifest_path(&manifest.name);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let text = manifest.to_json().map_err(|error| io_error("write", &path, &error.into()))?;
        if text.len() as u64 > MANIFEST_BYTES {
            let message = format!("the manifest of the model {} would be longer than 1 MiB", manifest.name);
            return Err(StoreError::new(StoreErrorKind::InvalidManifest, message));
        }
        write_whole(&path, &text).map_err(|error| io_error("write", &path, &error))
    }

    /// Removes a manifest, for who holds the lock.
    pub(crate) fn remove_manifest(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.manifest_path(name);
        let remove = || -> io::Result<()> {
            remove_file(&path)?;
            match path.parent() {
                Some(folder) if folder.is_dir() => sync_folder(folder),
                _ => Ok(()),
            }
        };
        remove().map_err(|error| io_error("remove", &path, &error))?;
        if let Some(folder) = path.parent() {
            remove_empty(folder, &self.manifests_folder());
        }
        Ok(())
    }

    /// Removes what somebody who was ended left of writing a manifest, for who holds the lock.
    pub(crate) fn remove_unfinished_manifests(&self) -> Result<(), StoreError> {
        for folder in self.manifest_folders()? {
            for path in files_with(&folder, UNFINISHED).map_err(|error| io_error("read", &folder, &error))? {
                remove_file(&path).map_err(|error| io_error("remove", &path, &error))?;
            }
            remove_empty(&folder, &self.manifests_folder());
        }
        Ok(())
    }

    /// The folders of models' names, in which manifests lie.
    fn manifest_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut folders = vec![self.manifests_folder()];
        for _ in ["host", "namespace", "name"] {
            let mut inner = Vec::new();
            for folder in folders {
                let entries = entries(&folder).map_err(|error| io_error("read", &folder, &error))?;
                for entry in entries {
                    // What cannot be looked at may hold manifests.
                    let metadata = fs::metadata(&entry).map_err(|error| io_error("read", &entry, &error))?;
                    if metadata.is_dir() {
                        inner.push(entry);
                    }
                }
            }
            folders = inner;
        }
        Ok(folders)
    }

    /// The names of the models that have a manifest.
    pub(crate) fn model_names(&self) -> Result<Vec<Name>, StoreError> {
        self.names_of(MANIFEST)
    }

    /// Files that would be manifests or intents but for their names.
    pub(crate) fn unknown_manifests(&self) -> Result<Vec<PathBuf>, StoreError> {
        let files = self.manifest_files()?;
        let is_unknown = |path: &PathBuf| {
            let ending = [MANIFEST, INTENT].into_iter().find(|ending| path.to_string_lossy().ends_with(ending));
            ending.is_some_and(|ending| self.name_of(path, ending).is_none())
        };
        Ok(files.into_iter().filter(is_unknown).collect())
    }

    /// The names of models with a file whose name ends so.
    fn names_of(&self, ending: &str) -> Result<Vec<Name>, StoreError> {
        let files = self.manifest_files()?;
        let mut names: Vec<Name> = files.iter().filter_map(|file| self.name_of(file, ending)).collect();
        names.sort();
        Ok(names)
    }

    /// The files in the folders of models' names.
    fn manifest_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        for folder in self.manifest_folders()? {
            files.extend(entries(&folder).map_err(|error| io_error("read", &folder, &error))?);
        }
        Ok(files)
    }

    /// The model that a file is of, whose name ends so.
    fn name_of(&self, file: &Path, ending: &str) -> Option<Name> {
        let tag = file.file_name()?.to_str()?.strip_suffix(ending)?;
        Name::of_path(&file.parent()?.strip_prefix(self.manifests_folder()).ok()?.join(tag))
    }
}
