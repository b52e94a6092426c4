//! How a model's layers look back, and what that takes of memory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::Written;

/// How many layers look back in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerCounts {
    /// At all tokens before.
    #[serde(skip_serializing_if = "is_zero")]
    pub full: u64,
    /// At a window of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub sliding: u64,
    /// At a state of a fixed size: linear attention, Mamba.
    #[serde(skip_serializing_if = "is_zero")]
    pub recurrent: u64,
}

/// How many numbers the KV cache holds for a token, over all layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheShape {
    /// In layers that look at all tokens.
    pub full: u64,
    /// In layers that look at a window.
    #[serde(skip_serializing_if = "is_zero")]
    pub sliding: u64,
    /// Tokens in that window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl CacheShape {
    /// Numbers held for `tokens` tokens, by a cache that keeps what lies behind the window (`whole`) or drops it.
    pub fn numbers(&self, tokens: u64, whole: bool) -> u64 {
        let windowed = match self.window {
            Some(window) if !whole => tokens.min(window),
            _ => tokens,
        };
        self.full.saturating_mul(tokens).saturating_add(self.sliding.saturating_mul(windowed))
    }
}

/// Counts the layers, `layers` in all. Where the file does not list them, it is by the architecture's convention.
pub(super) fn count(written: &Written<'_>, layers: u64) -> LayerCounts {
    if let Some(kinds) = written.value("layer_types").and_then(Value::as_array) {
        return count_listed(kinds.iter().take(layers as usize));
    }
    if let Some(attending) = written.value("linear_attn_config").and_then(|value| value["full_attn_layers"].as_array())
    {
        let full = (attending.len() as u64).min(layers);
        return LayerCounts { full, recurrent: layers - full, sliding: 0 };
    }
    if let Some(interval) = written.number("full_attention_interval", layers.max(1)) {
        let full = layers / interval;
        return LayerCounts { full, recurrent: layers - full, sliding: 0 };
    }
    let model_type = written.model_type().unwrap_or_default();
    if model_type.starts_with("mamba") || model_type.starts_with("rwkv") {
        return LayerCounts { recurrent: layers, ..LayerCounts::default() };
    }
    let sliding = if written.window().is_none() { 0 } else { layers - full_among_sliding(written, model_type, layers) };
    LayerCounts { full: layers - sliding, sliding, recurrent: 0 }
}

fn count_listed<'a>(kinds: impl Iterator<Item = &'a Value>) -> LayerCounts {
    let mut counts = LayerCounts::default();
    for kind in kinds {
        match kind.as_str().unwrap_or_default() {
            "sliding_attention" | "chunked_attention" => counts.sliding += 1,
            "linear_attention" | "recurrent" | "conv" | "mamba" => counts.recurrent += 1,
            _ => counts.full += 1,
        }
    }
    counts
}

/// How many layers of a model with a window look at everything all the same, as transformers has it.
fn full_among_sliding(written: &Written<'_>, model_type: &str, layers: u64) -> u64 {
    let every = |pattern: u64| layers / pattern;
    if let Some(pattern) = written.number("sliding_window_pattern", layers.max(1)) {
        return every(pattern);
    }
    match model_type {
        "gemma2" => every(2),
        "gemma3_text" => every(6),
        "cohere2" => every(4),
        // Those after `max_window_layers` have the window.
        "qwen2" | "qwen3" | "qwen2_moe" | "qwen3_moe" => written.number("max_window_layers", layers).unwrap_or(layers),
        _ => 0,
    }
}
