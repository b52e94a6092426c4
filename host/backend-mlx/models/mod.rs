//! The known architectures: one file each, named as `config.json`'s `model_type`, that says what is special about it.
//!
//! All are pre-norm decoders with rotary positions, grouped-query attention and a gated feed-forward layer; the
//! [`layers`](crate::layers) build any of them from a [`ModelConfig`].

mod llama;
mod qwen2;
mod qwen3;

use wasmlx_backend::BackendError;

use crate::config::{ModelConfig, Written, missing};
use crate::error::unsupported;

/// Every `model_type` that loads. `mistral` is `llama` under another name.
pub const ARCHITECTURES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

/// Checks a configuration by the rules of its architecture.
pub(crate) fn config(written: &Written) -> Result<ModelConfig, BackendError> {
    let model_type = written.model_type.as_deref().ok_or_else(|| missing("model_type"))?;
    match model_type {
        "llama" | "mistral" => llama::config(written),
        "qwen2" => qwen2::config(written),
        "qwen3" => qwen3::config(written),
        _ => Err(unsupported(format!(
            "the architecture `{model_type}` is not known here; known are {}",
            ARCHITECTURES.join(", ")
        ))),
    }?
    .finish()
}
