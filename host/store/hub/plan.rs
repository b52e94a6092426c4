//! What a pull is to bring: what was chosen of what a hub has, and what the model of the name has already, so that no
//! pull of some files takes the others away.

use std::collections::HashSet;

use super::{RemoteFile, Selection};
use crate::{Manifest, ManifestFile, Name, PartialKey, Source, Store, StoreError, StoreErrorKind, WantedFile};

/// What a hub has of a model.
pub(super) struct Offer {
    pub(super) repository: String,
    pub(super) commit: String,
    pub(super) files: Vec<RemoteFile>,
}

/// What a pull is to bring.
pub(super) struct Plan {
    /// In the order in which they are fetched: small ones first, so that what cannot be had is known early.
    pub(super) files: Vec<WantedFile>,
    /// As in [`Source::Hub`].
    pub(super) chosen: bool,
}

impl Offer {
    /// What is to come where `there` is the model of the name.
    ///
    /// # Errors
    /// As [`Selection::choose`].
    pub(super) fn plan(&self, selection: &Selection, there: Option<&Manifest>) -> Result<Plan, StoreError> {
        let choose = |selection: &Selection| selection.choose(&self.repository, &self.files);
        let mut paths: HashSet<&str> = choose(selection)?.into_iter().map(|file| file.path.as_str()).collect();
        let is_usual = selection.is_usual();
        match there {
            Some(manifest) if is_at(manifest, &self.commit) || !is_usual && !is_complete(manifest) => {
                paths.extend(manifest.files.iter().map(|file| file.path.as_str()));
            }
            // Its files may have other names at this commit.
            Some(_) if !is_usual => {
                paths.extend(choose(&Selection::default())?.into_iter().map(|file| file.path.as_str()));
            }
            _ => {}
        }
        let wanted = self.files.iter().filter(|file| paths.contains(file.path.as_str())).cloned();
        let wanted = wanted.map(|RemoteFile { path, key, size }| WantedFile { path, key, size });
        let mut files: Vec<WantedFile> = wanted.collect();
        files.sort_by(|one, other| (one.size, &one.path).cmp(&(other.size, &other.path)));
        Ok(Plan { files, chosen: !is_usual && !there.is_some_and(is_complete) })
    }
}

/// The model of a name. One that cannot be read is none: a pull brings it anew.
pub(super) fn stored(store: &Store, name: &Name) -> Result<Option<Manifest>, StoreError> {
    match store.manifest(name) {
        Err(error) if error.kind() == StoreErrorKind::InvalidManifest => Ok(None),
        manifest => manifest,
    }
}

/// Whether a model is a hub's, as it was at a commit.
pub(super) fn is_at(manifest: &Manifest, now: &str) -> bool {
    matches!(&manifest.source, Source::Hub { commit, .. } if commit == now)
}

/// Whether a model has what a runner needs.
pub(super) fn is_complete(manifest: &Manifest) -> bool {
    manifest.what_lacks().is_none()
}

/// Whether all files of a model are there.
pub(super) fn is_whole(store: &Store, manifest: &Manifest) -> bool {
    let blobs = store.blobs();
    manifest.files.iter().all(|file| blobs.contains(&file.sha256, file.size))
}

/// Whether a model has what was asked for, and nothing else.
pub(super) fn has(manifest: &Manifest, wanted: &[WantedFile]) -> bool {
    let is_same = |file: &WantedFile, other: &ManifestFile| {
        let is_same_content = match file.key {
            PartialKey::Sha256(digest) => other.sha256 == digest,
            PartialKey::Git(hash) => other.git == Some(hash),
        };
        file.path == other.path && is_same_content
    };
    manifest.files.len() == wanted.len()
        && wanted.iter().all(|file| manifest.files.iter().any(|other| is_same(file, other)))
}
