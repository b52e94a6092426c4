//! Qwen 1.5, 2 and 2.5.

use wasmlx_backend::BackendError;

use crate::config::{Biases, Defaults, ModelConfig, Written};

const DEFAULTS: Defaults = Defaults { context_length: 32_768, rope_theta: Some(1_000_000.0) };

/// Queries, keys and values have a bias, whatever the file says.
pub(super) fn config(written: &Written) -> Result<ModelConfig, BackendError> {
    let config = written.check(&DEFAULTS)?;
    Ok(ModelConfig { biases: Biases { queries_keys_values: true, ..Biases::default() }, ..config })
}
