//! Removing what nobody needs: blobs that no manifest and no intent refers to, views of models that are gone or have
//! other files now, and what processes that ended left unfinished.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::blobs::Blobs;
use crate::files::{entries, folder_size, has_one_name, io_error, remove_file, remove_folder, sync_folder};
use crate::lock::FileLock;
use crate::partial::{self, PartialKey};
use crate::pull::Intent;
use crate::{Digest, Store, StoreError};

/// What a sweep removed.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Swept {
    /// Blobs, whole or not.
    pub files: usize,
    /// Bytes that are free now, those of views too. What has another name elsewhere, since it was imported by a hard
    /// link, is not.
    pub bytes: u64,
    /// Why nothing could be removed: manifests that cannot be read, which may refer to anything.
    pub hindered: Vec<String>,
}

/// What is referred to.
#[derive(Default)]
struct References {
    blobs: HashSet<Digest>,
    /// Of files that are not finished.
    keys: HashSet<String>,
    unreadable: Vec<String>,
}

impl Store {
    /// Removes what nobody needs, for who holds the lock. Where a manifest cannot be read no blob is removed.
    pub(crate) fn sweep(&self) -> Result<Swept, StoreError> {
        let freed = self.remove_stale_views()?;
        let swept = self.sweep_blobs()?;
        Ok(Swept { bytes: swept.bytes + freed, ..swept })
    }

    /// The same without views: what a model was until this moment somebody may be reading.
    pub(crate) fn sweep_blobs(&self) -> Result<Swept, StoreError> {
        // What comes after this look, and what refers to it, is of no concern; what is there has its reference already.
        let there = self.blobs().all()?;
        let references = self.references()?;
        if !references.unreadable.is_empty() {
            return Ok(Swept { hindered: references.unreadable, ..Swept::default() });
        }
        self.remove_unfinished_manifests()?;
        let blobs = self.blobs();
        let mut swept = Swept::default();
        for (digest, path) in there {
            if !references.blobs.contains(&digest) {
                swept.remove(&path)?;
            }
        }
        swept.remove_unfinished(&blobs, &references.keys)?;
        for path in entries(&blobs.corrupt()).map_err(|error| io_error("read", &blobs.corrupt(), &error))? {
            swept.remove(&path)?;
        }
        // None is there in a store that nothing was ever put in.
        if blobs.folder().is_dir() {
            sync_folder(blobs.folder()).map_err(|error| io_error("write", blobs.folder(), &error))?;
        }
        Ok(swept)
    }

    fn references(&self) -> Result<References, StoreError> {
        let (mut references, blobs) = (References::default(), self.blobs());
        references.blobs.extend(self.linked_blobs()?);
        for (_, manifest) in self.manifests()? {
            match manifest {
                Ok(manifest) => references.blobs.extend(manifest.files.iter().map(|file| file.sha256)),
                Err(error) => references.unreadable.push(error.to_string()),
            }
        }
        for path in self.unknown_manifests()? {
            references.unreadable.push(format!(
                "{} is no manifest that this version knows, and may be one of a later version",
                path.display()
            ));
        }
        for name in self.intent_names()? {
            let intent = match self.intent(&name) {
                Ok(intent) => intent,
                Err(error) => {
                    references.unreadable.push(error.to_string());
                    continue;
                }
            };
            for file in intent.iter().flat_map(Intent::all) {
                references.keys.insert(file.key.to_string());
                match file.key {
                    PartialKey::Sha256(digest) => references.blobs.insert(digest),
                    PartialKey::Git(_) => {
                        partial::completed(&blobs, file.key).is_some_and(|digest| references.blobs.insert(digest))
                    }
                };
            }
        }
        Ok(references)
    }
}

impl Swept {
    /// Removes a file, or a folder that a conversion was writing, and counts what that frees.
    fn remove(&mut self, path: &Path) -> Result<(), StoreError> {
        let (freed, removed) = match path.is_dir() {
            true => (folder_size(path), remove_folder(path)),
            false => {
                let sole = fs::symlink_metadata(path).ok().filter(has_one_name);
                (sole.map_or(0, |file| file.len()), remove_file(path))
            }
        };
        removed.map_err(|error| io_error("remove", path, &error))?;
        self.files += 1;
        self.bytes += freed;
        Ok(())
    }

    /// Removes what is not finished, not wanted, and not held by anybody.
    fn remove_unfinished(&mut self, blobs: &Blobs, wanted: &HashSet<String>) -> Result<(), StoreError> {
        let folder = blobs.unfinished();
        let paths = entries(&folder).map_err(|error| io_error("read", &folder, &error))?;
        let key = |path: &PathBuf| Some(path.file_name()?.to_str()?.split('.').next()?.to_owned());
        let keys: HashSet<String> = paths.iter().filter_map(key).filter(|key| !wanted.contains(key)).collect();
        for key in keys {
            let lock_file = folder.join(format!("{key}.lock"));
            let Some(_held) = FileLock::try_named(&lock_file)? else { continue };
            let of_key = |path: &&PathBuf| {
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.split('.').next() == Some(&key))
            };
            for path in paths.iter().filter(of_key).filter(|path| **path != lock_file) {
                self.remove(path)?;
            }
            remove_file(&lock_file).map_err(|error| io_error("remove", &lock_file, &error))?;
        }
        Ok(())
    }
}
