//! `config.json` of well-known models: each parses, or is refused for the right reason.

#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not what they call

use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wasmlx_backend::BackendErrorKind::{self, Unsupported};
use wasmlx_backend_mlx::config::{ModelConfig, Packing, RopeScaling};

/// The folder of files that are shared between programs and are no part of this repository; where it is named it must
/// be there.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let named = std::env::var_os("WASMLX_SHARED").map(PathBuf::from);
    let must_be = named.is_some();
    let folder = named.unwrap_or(beside).join("model-configs");
    assert!(folder.is_dir() || !must_be, "WASMLX_SHARED is set, but {} is absent", folder.display());
    folder.is_dir().then_some(folder)
}

fn parse(name: &str) -> Option<Result<ModelConfig, (BackendErrorKind, String)>> {
    let path = shared()?.join(format!("{name}.config.json"));
    let json = std::fs::read(path).unwrap();
    Some(ModelConfig::parse(&json).map_err(|error| (error.kind(), error.to_string())))
}

#[test]
fn every_config_parses_or_is_refused_by_its_architecture() {
    let Some(folder) = shared() else {
        skipped();
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".config.json").filter(|name| !name.ends_with("generation")) else {
            continue;
        };
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let model_type = json["model_type"].as_str().unwrap();
        let known = ["llama", "mistral", "qwen2", "qwen3"].contains(&model_type);
        match parse(name).unwrap() {
            Ok(config) => {
                assert!(known, "{name}");
                assert_eq!(config.model_type, model_type);
                assert_eq!(config.windows.len() as u64, json["num_hidden_layers"].as_u64().unwrap(), "{name}");
                assert_eq!(config.vocabulary_size as u64, json["vocab_size"].as_u64().unwrap(), "{name}");
            }
            Err((kind, message)) => {
                assert!(!known, "{name}: {message}");
                assert_eq!(kind, Unsupported, "{name}: {message}");
                assert!(message.contains(&format!("`{model_type}`")), "{name}: {message}");
            }
        }
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} configs");
}

#[test]
fn what_is_special_about_each_is_read() {
    if shared().is_none() {
        skipped();
        return;
    }
    let config = |name| parse(name).unwrap().unwrap();

    let llama = config("Llama-3.2-1B-Instruct");
    assert_eq!((llama.head_dimension, llama.key_value_heads, llama.context_length), (64, 8, 131_072));
    let expected = RopeScaling::Llama3 {
        factor: 32.0,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_context: 8192.0,
    };
    assert_eq!((llama.rope.theta, llama.rope.scaling), (500_000.0, expected));
    assert_eq!(llama.tie_word_embeddings, Some(true));

    let smol = config("SmolLM2-135M");
    assert_eq!((smol.attention_heads, smol.key_value_heads, smol.windows.len()), (9, 3, 30));

    let mistral = config("mlx_Mistral-7B-Instruct-v0.2-4bit");
    assert_eq!(mistral.quantization.unwrap().packing, Packing { bits: 4, group_size: 64 });
    assert!(mistral.windows.iter().all(Option::is_none));

    let qwen2 = config("Qwen2.5-7B-Instruct");
    assert!(qwen2.biases.queries_keys_values && !qwen2.biases.attention_output && !qwen2.head_norms);
    assert_eq!((qwen2.head_dimension, qwen2.rope.theta), (128, 1_000_000.0));
    assert!(qwen2.windows.iter().all(Option::is_none));

    let qwen3 = config("Qwen3-0.6B");
    assert!(qwen3.head_norms && !qwen3.biases.queries_keys_values);
    assert_eq!((qwen3.head_dimension, qwen3.attention_heads, qwen3.hidden_size), (128, 16, 1024));
    assert_eq!(config("mlx-community_Qwen3-0.6B-4bit").quantization.unwrap().packing.bits, 4);
}

#[test]
fn parameters_of_positions_may_be_nested_and_exceptions_named() {
    let json = r#"{"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "head_dim": 16, "vocab_size": 320, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 5000, "rope_type": "linear", "factor": 4},
        "quantization": {"group_size": 64, "bits": 4, "mode": "affine",
            "lm_head": {"group_size": 32, "bits": 6}, "model.layers.0.mlp.down_proj": false}}"#;
    let config = ModelConfig::parse(json.as_bytes()).unwrap();
    assert_eq!(config.rope.theta, 5000.0);
    assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 4.0 });
    let exceptions = config.quantization.unwrap().exceptions;
    assert_eq!(exceptions["lm_head"], Some(Packing { bits: 6, group_size: 32 }));
    assert_eq!(exceptions["model.layers.0.mlp.down_proj"], None);
    assert_eq!(exceptions.len(), 2);

    assert_eq!(config.context_length, 4 * 40_960);

    let longrope = json.replace("linear", "longrope");
    let error = ModelConfig::parse(longrope.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), Unsupported);
    assert!(error.to_string().contains("`longrope`"), "{error}");
}

/// The longest text of a model whose positions are stretched from what its file says.
#[test]
fn stretched_positions_reach_farther() {
    let reach = |written: u32, scaling: serde_json::Value| {
        let json = serde_json::json!({"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16, "vocab_size": 320, "rms_norm_eps": 1e-6,
            "rope_theta": 5000, "max_position_embeddings": written, "rope_scaling": scaling});
        ModelConfig::parse(json.to_string().as_bytes()).unwrap().context_length
    };
    let scaling = |kind: &str, factor: f64| serde_json::json!({"rope_type": kind, "factor": factor});
    let yarn = serde_json::json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
    assert_eq!(reach(32_768, yarn.clone()), 131_072);
    assert_eq!(reach(40_960, yarn.clone()), 131_072);
    assert_eq!(reach(262_144, yarn), 262_144);
    assert_eq!(reach(2048, scaling("dynamic", 2.0)), 4096);
    assert_eq!(reach(4096, scaling("linear", 2.5)), 10_240);
    assert_eq!(reach(4096, scaling("linear", 1e12)), u32::MAX);
    assert_eq!(reach(131_072, scaling("llama3", 32.0)), 131_072);
    assert_eq!(reach(4096, scaling("default", 2.0)), 4096);
}

proptest::proptest! {
    /// Whatever the bytes say, the answer is a configuration or an error, never a panic.
    #[test]
    fn any_bytes_are_answered(json: Vec<u8>) {
        let _ = ModelConfig::parse(&json);
    }

    /// Numbers at the edges of their types, here and there in a file that is right otherwise: what is believed lies
    /// within its bounds.
    #[test]
    fn what_is_believed_lies_within_bounds(
        hidden in edge(64), middle in edge(96), layers in edge(2), heads in edge(4), kv_heads in edge(2),
        head in edge(16), vocabulary in edge(320), context in edge(128),
        factor in prop_oneof![3 => Just(4.0), 1 => any::<f64>()], architecture in 0usize..3,
        scaling in prop::sample::select(&["yarn", "dynamic", "linear", "llama3", "default"][..]),
    ) {
        let model_type = ["llama", "qwen2", "qwen3"][architecture];
        let json = serde_json::json!({
            "model_type": model_type, "hidden_size": hidden, "intermediate_size": middle, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head, "vocab_size": vocabulary,
            "max_position_embeddings": context, "rms_norm_eps": 1e-6, "rope_theta": 5000.0,
            "rope_scaling": {"type": scaling, "factor": factor, "beta_fast": factor},
        });
        let Ok(config) = ModelConfig::parse(json.to_string().as_bytes()) else { return Ok(()) };
        let sizes = [config.hidden_size, config.intermediate_size, config.vocabulary_size, config.attention_heads,
            config.key_value_heads, config.head_dimension];
        prop_assert!(sizes.iter().all(|size| (1..=1 << 24).contains(size)), "{sizes:?}");
        prop_assert_eq!(config.attention_heads % config.key_value_heads, 0);
        prop_assert_eq!(config.head_dimension % 2, 0);
        prop_assert!(config.attention_heads.checked_mul(config.head_dimension).is_some());
        prop_assert!((1..=1 << 14).contains(&config.windows.len()));
        prop_assert!(u64::from(config.context_length) >= context && context > 0);
    }
}

/// A number that is right, or one at the edge of what numbers are.
fn edge(right: u64) -> impl Strategy<Value = u64> {
    const EDGES: [u64; 12] =
        [0, 1, 2, 3, 7, 1 << 14, 1 << 24, (1 << 24) + 1, i32::MAX as u64, u32::MAX as u64, 1 << 32, u64::MAX];
    prop_oneof![12 => Just(right), 1 => prop::sample::select(&EDGES[..]), 1 => any::<u64>()]
}

/// Not by `println!`, whose text a test runner keeps to itself. Where stderr is closed nobody wants it.
fn skipped() {
    let _ = writeln!(std::io::stderr(), "skipped: no shared model-configs");
}
