//! Llama 1 to 3, and what took its architecture over: Mistral, SmolLM, TinyLlama and many more.

use wasmlx_backend::BackendError;

use crate::config::{Biases, Defaults, ModelConfig, Written, dimension};
use crate::error::{invalid_model, unsupported};

/// The context of Llama 1, where a file names none.
const DEFAULTS: Defaults = Defaults { context_length: 2048, rope_theta: Some(10_000.0) };

/// Biases are the file's choice, the size of a head too, and layers may look back at a window only.
pub(super) fn config(written: &Written) -> Result<ModelConfig, BackendError> {
    let mut config = written.check(&DEFAULTS)?;
    if written.head_dim.is_some() {
        config = config.with_head_dimension(written.head_dim)?;
    }
    let attention_bias = written.attention_bias.unwrap_or(false);
    config.biases = Biases {
        queries_keys_values: attention_bias,
        attention_output: attention_bias,
        feed_forward: written.mlp_bias.unwrap_or(false),
    };
    if let Some(layer_types) = &written.layer_types {
        config.windows = windows(written, layer_types, config.windows.len())?;
    }
    Ok(config)
}

/// `sliding_window` counts where `layer_types` names the layers that have it, and only there.
fn windows(written: &Written, layer_types: &[String], layers: usize) -> Result<Vec<Option<i32>>, BackendError> {
    if layer_types.len() != layers {
        return Err(invalid_model(format!(
            "config.json has {layers} layers, but `layer_types` names {}",
            layer_types.len()
        )));
    }
    let window = |layer_type: &String| match layer_type.as_str() {
        "full_attention" => Ok(None),
        "sliding_attention" => dimension("sliding_window", written.sliding_window).map(Some),
        other => Err(unsupported(format!("config.json has a layer of the type `{other}`, which is not known here"))),
    };
    layer_types.iter().map(window).collect()
}
