//! The store as components see it, where the user grants that.

use wasmlx_components as components;
use wasmlx_components::{ComponentError, ComponentErrorKind, StoreView};
use wasmlx_store::{Content, MemoryEstimate, Runnable, StoredModel, weights_bytes};

use super::error::Result;
use super::estimate::{architectures, folder_weights, model_memory};
use super::store::ModelStore;

/// The most models that a component is told of.
const MOST_MODELS: usize = 1000;

/// A store to be looked at.
pub(crate) struct SeenStore(pub(crate) ModelStore);

impl StoreView for SeenStore {
    fn list(&self) -> std::result::Result<Vec<components::StoredModel>, ComponentError> {
        Ok(self.models()?.iter().take(MOST_MODELS).map(seen).collect())
    }

    fn show(&self, name: &str) -> std::result::Result<components::ModelDetails, ComponentError> {
        let stored = self.model(name)?;
        let facts = &stored.facts;
        let file = |file: &wasmlx_store::ManifestFile| components::ModelFile {
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256.to_string(),
        };
        Ok(components::ModelDetails {
            model: seen(&stored),
            layers: facts.layers,
            hidden_size: facts.hidden_size,
            heads: facts.heads,
            key_value_heads: facts.key_value_heads,
            vocabulary_size: facts.vocabulary,
            files: match &stored.content {
                Content::Stored(manifest) => manifest.files.iter().map(file).collect(),
                // Where a folder of the user's lies is nobody's business.
                _ => Vec::new(),
            },
        })
    }

    fn estimate(&self, name: &str) -> std::result::Result<components::MemoryEstimate, ComponentError> {
        let stored = self.model(name)?;
        let weights = match &stored.content {
            Content::Stored(manifest) => {
                weights_bytes(manifest.files.iter().map(|file| (file.path.as_str(), file.size)))
            }
            Content::Folder(folder) => folder_weights(folder).ok().flatten(),
            _ => None,
        };
        let machine = model_memory();
        let estimate = MemoryEstimate::on(&stored.facts, weights, machine);
        Ok(components::MemoryEstimate {
            weights: estimate.weights_bytes,
            overhead: estimate.overhead_bytes,
            cache_per_1000_tokens: estimate.cache_bytes_per_1000_tokens,
            context: estimate.context,
            total: estimate.total_bytes,
            largest_context: machine.bytes.and_then(|bytes| estimate.largest_context(bytes)),
            is_guess: estimate.is_guess(),
        })
    }
}

impl SeenStore {
    fn models(&self) -> std::result::Result<Vec<StoredModel>, ComponentError> {
        let listed: Result<_> = self.0.list();
        // Why the store cannot be read is told to the user; paths are not a component's to know.
        let told = |error: super::error::Error| {
            tracing::warn!("a component cannot be shown the store: {error}");
            ComponentError::new(ComponentErrorKind::Other, "", "the store cannot be read")
        };
        Ok(listed.map_err(told)?.models)
    }

    /// A model by its name, or the short one; no path is looked at.
    fn model(&self, name: &str) -> std::result::Result<StoredModel, ComponentError> {
        let found = self.models()?.into_iter().find(|model| model.name == name || model.short_name == name);
        found.ok_or_else(|| {
            ComponentError::new(ComponentErrorKind::NotFound, "", format!("the store has no model `{name}`"))
        })
    }
}

fn seen(stored: &StoredModel) -> components::StoredModel {
    let facts = &stored.facts;
    components::StoredModel {
        name: stored.name.clone(),
        architecture: facts.model_type.clone(),
        task: facts.task.map(|task| task.to_string()),
        parameters: facts.parameters,
        quantization: facts.quantization.as_ref().map(ToString::to_string),
        context_length: facts.context,
        size: stored.size,
        runnable: facts.runnable(architectures()) == Runnable::Yes,
    }
}
