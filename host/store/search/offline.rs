//! What there is to find without a hub: what is in the store, and what the catalogue knows.

use std::collections::BTreeSet;

use super::{Candidate, Origin};
use crate::{Manifest, ModelFacts, Store, StoreError, catalogue, weights_bytes};

impl Store {
    /// The models of the store and of the catalogue, as candidates of a search.
    ///
    /// # Errors
    /// [`StoreErrorKind::Io`](crate::StoreErrorKind::Io) where the store cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        let stored =
            self.manifests()?.into_iter().filter_map(|(_, manifest)| Some(Candidate::of_manifest(&manifest.ok()?)));
        Ok(stored.chain(catalogue().iter().map(|entry| entry.candidate())).collect())
    }

    /// The ids of the models in the store, in lowercase.
    ///
    /// # Errors
    /// As [`Store::candidates`].
    pub fn stored_ids(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.manifests()?.into_iter().map(|(name, _)| name.to_string().to_ascii_lowercase()).collect())
    }
}

impl Candidate {
    fn of_manifest(manifest: &Manifest) -> Self {
        let id = manifest.name.to_string();
        Self {
            facts: manifest.facts.clone().or(ModelFacts::of_id(&id, &[])),
            id,
            origin: Origin::Store,
            modified: Some(manifest.created),
            bytes: weights_bytes(manifest.files.iter().map(|file| (file.path.as_str(), file.size))),
            ..Self::default()
        }
    }
}
