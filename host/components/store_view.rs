//! What components may see of the store: the trait that the program around implements, and what it answers.

use serde::{Deserialize, Serialize};

use crate::ComponentError;

/// The models in the store, to be looked at. Each call may block.
pub trait StoreView: Send + Sync + 'static {
    /// All that can be used.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn list(&self) -> Result<Vec<StoredModel>, ComponentError>;

    /// One by its name, which is a name in the store and never a path.
    ///
    /// # Errors
    /// [`ComponentErrorKind::NotFound`](crate::ComponentErrorKind::NotFound); where the store cannot be read.
    fn show(&self, name: &str) -> Result<ModelDetails, ComponentError>;

    /// What memory it would take.
    ///
    /// # Errors
    /// As [`StoreView::show`].
    fn estimate(&self, name: &str) -> Result<MemoryEstimate, ComponentError>;
}

/// A model of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of wit/store.wit")]
pub struct StoredModel {
    pub name: String,
    pub architecture: Option<String>,
    pub task: Option<String>,
    pub parameters: Option<u64>,
    pub quantization: Option<String>,
    pub context_length: Option<u64>,
    pub size: u64,
    pub runnable: bool,
}

/// More of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of wit/store.wit")]
pub struct ModelDetails {
    pub model: StoredModel,
    pub layers: Option<u64>,
    pub hidden_size: Option<u64>,
    pub heads: Option<u64>,
    pub key_value_heads: Option<u64>,
    pub vocabulary_size: Option<u64>,
    pub files: Vec<ModelFile>,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of wit/store.wit")]
pub struct ModelFile {
    pub path: String,
    pub size: u64,
    pub sha256: String,
}

/// Bytes of memory that a model would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of wit/store.wit")]
pub struct MemoryEstimate {
    pub weights: u64,
    pub overhead: u64,
    pub cache_per_1000_tokens: Option<u64>,
    pub context: u64,
    pub total: u64,
    pub largest_context: Option<u64>,
    pub is_guess: bool,
}
