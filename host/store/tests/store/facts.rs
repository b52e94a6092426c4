//! What is known of models from their configurations, headers and names.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use wasmlx_store::{ModelFacts, Quantization, Runnable, SizeClass, Store, Task};

use crate::shared;

fn shown(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

#[test]
fn what_configurations_say() {
    let Some(configs) = shared::configs() else { return };
    let mut table = String::new();
    for (name, json) in &configs {
        let facts = ModelFacts::of_config(json);
        let layers = facts.layer_counts.map_or_else(String::new, |counts| {
            format!(" ({} full, {} sliding, {} recurrent)", counts.full, counts.sliding, counts.recurrent)
        });
        let cache = facts.cache.map(|cache| {
            let window = cache.window.map_or_else(String::new, |window| format!(" in {window}"));
            format!("{}+{}{window}", cache.full, cache.sliding)
        });
        table += &format!(
            "{name}\n  {} for {}, {} in groups of {}, {}\n  context {}, layers {}{layers}, hidden {}, middle {}, heads \
             {}/{} of {}, vocabulary {}, cache {}\n",
            shown(facts.model_type.clone()),
            shown(facts.task),
            shown(facts.quantization.clone()),
            shown(facts.group_size),
            shown(facts.dtype.clone()),
            shown(facts.context),
            shown(facts.layers),
            shown(facts.hidden_size),
            shown(facts.intermediate_size),
            shown(facts.heads),
            shown(facts.key_value_heads),
            shown(facts.head_dimension),
            shown(facts.vocabulary),
            shown(cache),
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_names_and_tags_tell() {
    let names: [(&str, &[&str]); 24] = [
        ("mlx-community/Qwen3-0.6B-4bit", &["mlx", "qwen3", "text-generation", "4-bit", "license:apache-2.0"]),
        ("mlx-community/Qwen3-30B-A3B-8bit", &["mlx", "qwen3_moe"]),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", &[]),
        ("mlx-community/gpt-oss-20b-MXFP4-Q8", &["gpt_oss"]),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", &["mixtral", "text-generation"]),
        ("mlx-community/SmolLM2-135M-Instruct", &[]),
        ("mlx-community/Llama-3.2-1B-Instruct-bf16", &["llama"]),
        ("TheBloke/Mistral-7B-Instruct-v0.2-GGUF", &["gguf", "mistral", "text-generation"]),
        ("bartowski/model.Q4_K_M.gguf", &[]),
        ("unsloth/Qwen3-4B-UD-IQ2_XXS", &[]),
        ("unsloth/Qwen3-0.6B-bnb-4bit", &["4-bit", "bitsandbytes"]),
        ("TheBloke/Llama-2-13B-chat-GPTQ", &["gptq", "4-bit"]),
        ("Qwen/Qwen2.5-7B-Instruct-1M", &[]),
        ("microsoft/Phi-3-mini-128k-instruct", &["phi3", "text-generation"]),
        ("sentence-transformers/all-MiniLM-L6-v2", &["bert", "sentence-similarity"]),
        ("openai/whisper-large-v3", &["automatic-speech-recognition"]),
        ("nvidia/Model-12B-NVFP4", &[]),
        ("mlx-community/DeepSeek-R1-Distill-Qwen-1.5B-3-bit", &[]),
        ("mlx-community/Qwen3-4B-4bit-DWQ", &[]),
        ("someone/moonshot_1T_int4", &[]),
        ("someone/0B-99999B--:-", &[]),
        ("someone/.5B-4.B-x8B-9bit-q1", &[]),
        ("", &[]),
        ("no/size", &["4-bit"]),
    ];
    let mut table = String::new();
    for (id, tags) in names {
        let facts = ModelFacts::of_id(id, tags);
        table += &format!(
            "{id}: {}, {}, {} parameters ({}, {} active), {}, context {}\n",
            shown(facts.model_type.clone()),
            shown(facts.task),
            shown(facts.parameters),
            shown(facts.size_class().map(SizeClass::name)),
            shown(facts.active_parameters),
            shown(facts.quantization.clone()),
            shown(facts.context),
        );
    }
    insta::assert_snapshot!(table);
}

/// A safetensors file of these tensors, whose data is left out.
fn write_weights(path: &Path, tensors: &Value) {
    let header = tensors.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn packed_weights_count_as_what_they_stand_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"model_type": "llama", "quantization": {"group_size": 64, "bits": 4,
        "model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 8}}});
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let tensor = |dtype: &str, shape: &[u64]| json!({"dtype": dtype, "shape": shape, "data_offsets": [0, 0]});
    let parts = [
        json!({
            "__metadata__": {"format": "mlx"},
            "model.norm.weight": tensor("BF16", &[128]),
            "model.layers.0.mlp.up_proj.weight": tensor("U32", &[256, 16]),
            "model.layers.0.mlp.up_proj.scales": tensor("BF16", &[256, 2]),
            "model.layers.0.mlp.up_proj.biases": tensor("BF16", &[256, 2]),
            "model.layers.0.self_attn.rotary_emb.inv_freq": tensor("F32", &[32]),
        }),
        // In groups of 32, and its scales in another file.
        json!({"model.layers.0.mlp.down_proj.weight": tensor("U32", &[128, 64])}),
        json!({"model.layers.0.mlp.down_proj.scales": tensor("BF16", &[128, 8])}),
    ];
    for (number, tensors) in parts.iter().enumerate() {
        write_weights(&folder.path().join(format!("model-{number}.safetensors")), tensors);
    }
    let facts = ModelFacts::of_folder(folder.path());
    assert_eq!(facts.parameters, Some(128 + 256 * 128 + 128 * 256 * 2));
    assert_eq!(facts.quantization, Some(Quantization::Affine(4)));

    // A part that cannot be read: no count is better than one that is too small.
    fs::write(folder.path().join("model-1.safetensors"), u64::MAX.to_le_bytes()).unwrap();
    assert_eq!(ModelFacts::of_folder(folder.path()).parameters, None);
}

#[test]
fn weights_say_how_they_are_stored_whatever_the_model_was_trained_in() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), r#"{"model_type": "llama", "torch_dtype": "bfloat16"}"#).unwrap();
    assert_eq!(ModelFacts::of_folder(folder.path()).quantization, Some(Quantization::Bfloat16));
    let tensor = |dtype: &str, shape: &[u64]| json!({"dtype": dtype, "shape": shape, "data_offsets": [0, 0]});
    let tensors = json!({"a.weight": tensor("F32", &[8, 8]), "b.weight": tensor("BF16", &[8])});
    write_weights(&folder.path().join("model.safetensors"), &tensors);
    assert_eq!(ModelFacts::of_folder(folder.path()).quantization, Some(Quantization::Float32));
}

#[test]
fn the_built_in_model_is_known_from_its_files() {
    let home = tempfile::tempdir().unwrap();
    let folder = Store::open(home.path()).resolve(None).unwrap();
    let facts = ModelFacts::of_folder(folder.path());
    insta::assert_snapshot!(serde_json::to_string_pretty(&facts).unwrap());
    assert_eq!(facts.size_class(), Some(SizeClass::Tiny));
    assert_eq!(facts.runnable(&["llama"]), Runnable::Yes);
}

#[test]
fn facts_tell_what_runs() {
    let facts = |id: &str, tags: &[&str]| ModelFacts::of_id(id, tags).runnable(&["llama", "qwen3"]);
    assert_eq!(facts("a/Qwen3-1B-4bit", &["qwen3"]), Runnable::Yes);
    assert_eq!(facts("a/Qwen3-1B-4bit", &[]), Runnable::Unknown);
    let refused = [
        ("a/b-7bit", ["qwen3"], "7-bit"),
        ("a/b-Q4_K_M", ["qwen3"], "GGUF"),
        ("a/b-mxfp4", ["qwen3"], "mxfp4"),
        ("a/b-4bit", ["gemma3"], "gemma3"),
        ("a/b", ["feature-extraction"], "embedding"),
    ];
    for (id, tags, why) in refused {
        let Runnable::No { why: reason, .. } = facts(id, &tags) else { panic!("{id}") };
        assert!(reason.contains(why), "{id}: {reason}");
    }
}

#[test]
fn sizes_have_classes() {
    let class = |parameters| SizeClass::of(parameters).name();
    let sizes = [0, 99_999_999, 100_000_000, 1_000_000_000, 1_000_000_001, 7_000_000_000, 13_000_000_000, u64::MAX];
    let classes = sizes.map(class);
    assert_eq!(classes, ["tiny", "tiny", "small", "small", "medium", "medium", "large", "xlarge"]);
}

/// A manifest may have been written by somebody else, or by a later version.
#[test]
fn facts_are_read_back_without_what_cannot_be_shown() {
    let config = br#"{"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "a method\u001b[2J"}}"#;
    let facts = ModelFacts::of_config(config);
    assert_eq!(facts.quantization, Some(Quantization::Other("unknown".to_owned())));
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<ModelFacts>(&text).unwrap(), facts);

    let hostile = json!({"model_type": "x\u{1b}[2J", "quantization": "later-method", "task": "text-generation"});
    let read: ModelFacts = serde_json::from_value(hostile).unwrap();
    assert_eq!((read.model_type, read.task), (None, Some(Task::TextGeneration)));
    assert_eq!(read.quantization, Some(Quantization::Other("later-method".to_owned())));
}

/// Numbers that no model has are not believed, and whatever follows from them does not overflow.
#[test]
fn absurd_numbers_are_not_known() {
    let most = u64::MAX;
    let config = json!({"model_type": "llama", "hidden_size": most, "num_hidden_layers": most, "head_dim": -1,
        "num_attention_heads": 0, "vocab_size": 1e300, "max_position_embeddings": "many", "sliding_window": most,
        "rope_scaling": {"rope_type": "linear", "factor": 1e300}, "quantization": {"bits": most, "group_size": 0}});
    let facts = ModelFacts::of_config(config.to_string().as_bytes());
    let known = serde_json::to_value(&facts).unwrap();
    assert_eq!(known, json!({"model_type": "llama"}));
}

proptest! {
    #[test]
    fn any_configuration_gives_facts(json: Vec<u8>, number: u64, text: String) {
        ModelFacts::of_config(&json);
        let config = json!({"model_type": text, "hidden_size": number, "num_attention_heads": number % 97,
            "num_hidden_layers": number % 1000, "kv_lora_rank": number >> 40, "num_kv_shared_layers": number >> 54,
            "max_position_embeddings": number >> 32, "rope_scaling": {"type": text, "factor": number as f64},
            "layer_types": [text, number], "quantization": {"mode": text, "bits": number % 20}});
        let facts = ModelFacts::of_config(config.to_string().as_bytes());
        let shown = serde_json::to_string(&facts).unwrap();
        prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{}", shown);
    }

    #[test]
    fn any_name_gives_facts(id: String, tags: Vec<String>) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let facts = ModelFacts::of_id(&id, &tags);
        prop_assert!(facts.parameters.is_none_or(|count| count <= 100_000_000_000_000));
    }

    #[test]
    fn any_header_is_answered(header: Vec<u8>, length: Option<u16>) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = length.map_or(header.len() as u64, u64::from).to_le_bytes().to_vec();
        bytes.extend(&header);
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        ModelFacts::of_folder(folder.path());
    }
}
