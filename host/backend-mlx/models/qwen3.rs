//! Qwen3, the dense models.

use wasmlx_backend::BackendError;

use crate::config::{Defaults, ModelConfig, Written};

const DEFAULTS: Defaults = Defaults { context_length: 40_960, rope_theta: None };

/// No biases; queries and keys are normalised head by head, and the size of a head is given.
pub(super) fn config(written: &Written) -> Result<ModelConfig, BackendError> {
    let config = written.check(&DEFAULTS)?.with_head_dimension(written.head_dim)?;
    Ok(ModelConfig { head_norms: true, ..config })
}
