//! What a `config.json` says.
//!
//! The keys are those of Hugging Face's transformers and the ones that older models had in their place. A model of
//! text and pictures keeps those of its language model in a part of their own.

use serde_json::{Map, Value};

use super::layers::{self, CacheShape, LayerCounts};
use super::{ModelFacts, Quantization, Task, is_plain_name};

/// The most that is believed of a dimension, of layers and heads, and of a context: more than any published model has.
const MOST_DIMENSION: u64 = 1 << 24;
const MOST_LAYERS: u64 = 1 << 14;
const MOST_CONTEXT: u64 = 1 << 32;

/// Where models of several kinds of input keep their language model's keys.
const TEXT_PARTS: [&str; 4] = ["text_config", "llm_config", "language_config", "thinker_config"];

/// The keys of a configuration, those of the language model first.
pub(super) struct Written<'a> {
    text: Option<&'a Map<String, Value>>,
    all: &'a Map<String, Value>,
}

impl<'a> Written<'a> {
    fn new(all: &'a Map<String, Value>) -> Self {
        let part = |of: &'a Map<String, Value>| TEXT_PARTS.iter().find_map(|name| of.get(*name)?.as_object());
        // `thinker_config` has a `text_config` of its own.
        let text = part(all).map(|text| part(text).unwrap_or(text));
        Self { text, all }
    }

    /// What a key says; `null` says nothing.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        let inner = self.text.and_then(|text| text.get(key)).filter(|value| !value.is_null());
        inner.or_else(|| self.all.get(key).filter(|value| !value.is_null()))
    }

    /// A whole number above zero and no greater than `most`.
    pub(super) fn number(&self, key: &str, most: u64) -> Option<u64> {
        self.value(key)?.as_u64().filter(|number| (1..=most).contains(number))
    }

    fn first(&self, keys: &[&str], most: u64) -> Option<u64> {
        keys.iter().find_map(|key| self.number(key, most))
    }

    fn name(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.as_str().filter(|text| is_plain_name(text))
    }

    /// The architecture of the language model.
    pub(super) fn model_type(&self) -> Option<&'a str> {
        self.name("model_type")
    }

    /// Tokens in the window, where the model uses one.
    pub(super) fn window(&self) -> Option<u64> {
        let unused = self.value("use_sliding_window").and_then(Value::as_bool) == Some(false);
        let written = self.first(&["sliding_window", "sliding_window_size", "attention_chunk_size"], MOST_CONTEXT);
        written.or(self.default_number("sliding_window")).filter(|_| !unused)
    }

    /// Gemma 3's files leave out what is as transformers' `Gemma3TextConfig` has it.
    fn default_number(&self, key: &str) -> Option<u64> {
        if self.model_type() != Some("gemma3_text") {
            return None;
        }
        match key {
            "num_attention_heads" => Some(8),
            "num_key_value_heads" => Some(4),
            "head_dim" => Some(256),
            "max_position_embeddings" => Some(131_072),
            "sliding_window" => Some(4096),
            "vocab_size" => Some(262_208),
            _ => None,
        }
    }
}

pub(super) fn read(all: &Map<String, Value>) -> ModelFacts {
    let written = Written::new(all);
    let layers = written.first(&["num_hidden_layers", "num_layers", "n_layer", "n_layers"], MOST_LAYERS);
    let hidden_size = written.first(&["hidden_size", "n_embd", "d_model", "dim"], MOST_DIMENSION);
    let heads = written
        .first(&["num_attention_heads", "n_head", "n_heads", "num_heads"], MOST_LAYERS)
        .or(written.default_number("num_attention_heads"));
    let key_value_heads = written
        .first(&["num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv"], MOST_LAYERS)
        .or(written.default_number("num_key_value_heads"))
        .or(heads);
    let head_dimension = written
        .first(&["head_dim", "kv_channels"], MOST_DIMENSION)
        .or(written.default_number("head_dim"))
        .or_else(|| Some(hidden_size? / heads?).filter(|&size| size > 0));
    let counts = layers.map(|layers| layers::count(&written, layers));
    let heads_of_keys = Heads { count: key_value_heads, dimension: head_dimension };
    let (quantization, group_size) = quantization(&written);
    ModelFacts {
        // The model's own name, not its language model's: that is what a runner must know.
        model_type: all.get("model_type").and_then(Value::as_str).filter(|name| is_plain_name(name)).map(str::to_owned),
        task: task(all),
        quantization,
        group_size,
        dtype: written.name("torch_dtype").or(written.name("dtype")).map(str::to_owned),
        context: context(&written),
        layers,
        layer_counts: counts.filter(|counts| counts.sliding + counts.recurrent > 0),
        hidden_size,
        intermediate_size: written.first(&["intermediate_size", "ffn_hidden_size", "n_inner"], MOST_DIMENSION),
        heads,
        key_value_heads,
        head_dimension,
        sliding_window: written.window().filter(|_| counts.is_some_and(|counts| counts.sliding > 0)),
        vocabulary: written
            .first(&["vocab_size", "padded_vocab_size"], MOST_DIMENSION)
            .or(written.default_number("vocab_size")),
        cache: counts.and_then(|counts| cache(&written, counts, heads_of_keys)),
        ..ModelFacts::default()
    }
}

/// Heads of keys and of values.
struct Heads {
    count: Option<u64>,
    dimension: Option<u64>,
}

/// What a token takes of the KV cache.
fn cache(written: &Written<'_>, counts: LayerCounts, heads: Heads) -> Option<CacheShape> {
    // The last layers of some models read what earlier ones wrote (Gemma 3n and 4). Which kinds they are is not said,
    // so they are taken to be as mixed as all.
    let layers = counts.full + counts.sliding + counts.recurrent;
    let shared = written.number("num_kv_shared_layers", layers).unwrap_or(0);
    let own = |count: u64| count - count * shared / layers.max(1);

    let per_layer = match written.number("kv_lora_rank", MOST_DIMENSION) {
        // Multi-head latent attention (arXiv:2405.04434) keeps a compressed vector and the rotated part of the keys.
        Some(rank) => rank + written.number("qk_rope_head_dim", MOST_DIMENSION).unwrap_or(0),
        None => 2 * heads.count? * heads.dimension?,
    };
    // Gemma 4's layers that look at everything have wider heads.
    let per_full_layer = match written.number("global_head_dim", MOST_DIMENSION) {
        Some(dimension) => 2 * written.number("num_global_key_value_heads", MOST_LAYERS).or(heads.count)? * dimension,
        None => per_layer,
    };
    Some(CacheShape {
        full: own(counts.full) * per_full_layer,
        sliding: own(counts.sliding) * per_layer,
        window: written.window().filter(|_| counts.sliding > 0),
    })
}

/// The longest text, positions stretched. As in vLLM (`_get_and_verify_max_len`) a factor is taken to stretch what is
/// written, or the original context where that is written too; Llama 3.1's files write the length after it.
fn context(written: &Written<'_>) -> Option<u64> {
    const KEYS: [&str; 7] = [
        "max_position_embeddings",
        "n_positions",
        "max_sequence_length",
        "model_max_length",
        "max_seq_len",
        "n_ctx",
        "seq_length",
    ];
    let context = written.first(&KEYS, MOST_CONTEXT).or(written.default_number("max_position_embeddings"))?;
    let scaling = written.value("rope_scaling").or(written.value("rope_parameters"));
    let Some(scaling) = scaling.and_then(Value::as_object) else { return Some(context) };
    let kind = scaling.get("rope_type").or(scaling.get("type")).and_then(Value::as_str).unwrap_or_default();
    let factor = scaling.get("factor").and_then(Value::as_f64).filter(|factor| (1.0..=1e4).contains(factor));
    let original = scaling.get("original_max_position_embeddings").and_then(Value::as_u64);
    let stretched = match (kind, factor) {
        // What Gemma 3's files leave out is the length after stretching.
        ("linear" | "dynamic" | "yarn", Some(factor)) if written.value("max_position_embeddings").is_some() => {
            (original.unwrap_or(context).min(MOST_CONTEXT) as f64 * factor) as u64
        }
        _ => context,
    };
    Some(context.max(stretched).min(MOST_CONTEXT))
}

/// How the weights are stored, and in groups of how many.
fn quantization(written: &Written<'_>) -> (Option<Quantization>, Option<u32>) {
    let table = |key: &str| written.value(key).and_then(Value::as_object);
    let group = |table: &Map<String, Value>| {
        let size = table.get("group_size").and_then(Value::as_u64).filter(|size| (1..=1 << 16).contains(size));
        size.map(|size| size as u32)
    };
    if let Some(table) = table("quantization").or(table("quantization_config")) {
        let text = |key: &str| table.get(key).and_then(Value::as_str);
        let named = text("mode").filter(|mode| *mode != "affine").or(text("quant_method"));
        let quantization = match (named, table.get("bits").and_then(Value::as_u64)) {
            (Some(name), _) => Some(Quantization::named(name)),
            (None, Some(bits @ 2..=8)) => Some(Quantization::Affine(bits as u8)),
            (None, _) => None,
        };
        return (quantization, group(table));
    }
    let dtype = written.name("torch_dtype").or(written.name("dtype"));
    (dtype.and_then(Quantization::parse), None)
}

/// What the classes named in `architectures` are for.
fn task(all: &Map<String, Value>) -> Option<Task> {
    let classes = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::Array(list)) => list.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect(),
            // Models with code of their own say which class stands for which task.
            Some(Value::Object(map)) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    };
    let mut names = classes(all.get("architectures"));
    names.extend(classes(all.get("auto_map")));
    let sees = all.contains_key("vision_config") || all.contains_key("visual");
    let ends = |suffix: &str| names.iter().any(|name| name.ends_with(suffix));
    if names.iter().any(|name| name.starts_with("Whisper")) {
        Some(Task::SpeechRecognition)
    } else if sees && (ends("ForConditionalGeneration") || ends("ForCausalLM")) {
        Some(Task::Vision)
    } else if ends("ForCausalLM") || ends("ForConditionalGeneration") || ends("LMHeadModel") {
        Some(Task::TextGeneration)
    } else if ends("ForSequenceClassification") {
        Some(Task::Classification)
    } else if ends("Model") && !sees {
        Some(Task::Embedding)
    } else {
        None
    }
}
