//! What there is to find without a hub: what is in the store, and what the catalogue knows.

use std::collections::BTreeSet;

use super::{Candidate, Origin};
use crate::{Content, ModelFacts, Store, StoreError, StoredModel, catalogue, weights_bytes};

impl Store {
    /// The models of the store and of the catalogue, as candidates of a search.
    ///
    /// # Errors
    /// [`StoreErrorKind::Io`](crate::StoreErrorKind::Io) where the store cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        let stored = self.list()?.models;
        Ok(stored.iter().map(Candidate::of_stored).chain(catalogue().iter().map(|entry| entry.candidate())).collect())
    }

    /// The ids of the models in the store, in lowercase.
    ///
    /// # Errors
    /// As [`Store::candidates`].
    pub fn stored_ids(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.list()?.models.into_iter().map(|model| model.name.to_ascii_lowercase()).collect())
    }
}

impl Candidate {
    fn of_stored(model: &StoredModel) -> Self {
        let id = model.name.clone();
        let manifest = match &model.content {
            Content::Stored(manifest) => Some(manifest),
            Content::Folder(_) => None,
        };
        Self {
            facts: model.facts.clone().or(ModelFacts::of_id(&id, &[])),
            id,
            origin: Origin::Store,
            modified: manifest.map(|manifest| manifest.created),
            bytes: manifest
                .and_then(|manifest| weights_bytes(manifest.files.iter().map(|file| (file.path.as_str(), file.size)))),
            ..Self::default()
        }
    }
}
