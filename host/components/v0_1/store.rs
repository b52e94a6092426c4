//! Interface `store`: the models in the user's store, where that is granted.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::store as bound;
use super::types::{all, wit};
use crate::chat_state::{ChatState, blocking};
use crate::store_view::{MemoryEstimate, ModelDetails, ModelFile, StoreView, StoredModel};
use crate::{ComponentError, ComponentErrorKind};

impl bound::Host for ChatState {
    async fn list(&mut self) -> Result<Result<Vec<bound::StoredModel>, wit::Error>> {
        self.look("store.list", json!({}), |store| store.list()).await.map(|listed| listed.map(all))
    }

    async fn show(&mut self, name: String) -> Result<Result<bound::ModelDetails, wit::Error>> {
        let arguments = json!({"name": name});
        let shown = self.look("store.show", arguments, move |store| store.show(&name)).await?;
        Ok(shown.map(bound::ModelDetails::from))
    }

    async fn estimate(&mut self, name: String) -> Result<Result<bound::MemoryEstimate, wit::Error>> {
        let arguments = json!({"name": name});
        let estimated = self.look("store.estimate", arguments, move |store| store.estimate(&name)).await?;
        Ok(estimated.map(bound::MemoryEstimate::from))
    }
}

impl ChatState {
    /// Looks into the store, if that is given, where blocking is allowed.
    async fn look<T: Serialize + DeserializeOwned + Send + 'static>(
        &mut self,
        call: &str,
        arguments: Value,
        look: impl FnOnce(&dyn StoreView) -> std::result::Result<T, ComponentError> + Send + 'static,
    ) -> Result<std::result::Result<T, wit::Error>> {
        let mut state = self.enter();
        let take = state.take(call, || arguments)?;
        let seen = match (take.given()?, state.store()) {
            (Some(seen), _) => seen,
            (None, Ok(store)) => blocking(&mut state.budget, move || look(&*store)).await?,
            (None, Err(error)) => Err(error),
        };
        take.keep(&seen);
        Ok(state.answer(seen))
    }

    /// The store, if the component is given it.
    fn store(&self) -> std::result::Result<Arc<dyn StoreView>, ComponentError> {
        self.permissions.store()?;
        self.host.store().ok_or_else(|| {
            ComponentError::new(ComponentErrorKind::Denied, "", "this program has no store to look into")
        })
    }
}

impl From<StoredModel> for bound::StoredModel {
    fn from(model: StoredModel) -> Self {
        let StoredModel { name, architecture, task, parameters, quantization, context_length, size, runnable } = model;
        Self { name, architecture, task, parameters, quantization, context_length, size, runnable }
    }
}

impl From<ModelDetails> for bound::ModelDetails {
    fn from(details: ModelDetails) -> Self {
        let ModelDetails { model, layers, hidden_size, heads, key_value_heads, vocabulary_size, files } = details;
        let (model, files) = (model.into(), all(files));
        Self { model, layers, hidden_size, heads, key_value_heads, vocabulary_size, files }
    }
}

impl From<ModelFile> for bound::ModelFile {
    fn from(ModelFile { path, size, sha256 }: ModelFile) -> Self {
        Self { path, size, sha256 }
    }
}

impl From<MemoryEstimate> for bound::MemoryEstimate {
    fn from(estimate: MemoryEstimate) -> Self {
        let MemoryEstimate { weights, overhead, cache_per_1000_tokens, context, total, largest_context, is_guess } =
            estimate;
        Self { weights, overhead, cache_per_1000_tokens, context, total, largest_context, is_guess }
    }
}
