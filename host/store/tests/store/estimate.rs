//! Memory that models take, told by their facts.

use proptest::prelude::*;
use serde_json::json;
use wasmlx_store::{Basis, Holding, MemoryEstimate, ModelFacts};

use crate::shared;

fn facts(config: &serde_json::Value) -> ModelFacts {
    ModelFacts::of_config(config.to_string().as_bytes())
}

/// Qwen3-0.6B's shape.
fn qwen3() -> ModelFacts {
    facts(&json!({"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936,
        "max_position_embeddings": 40_960, "torch_dtype": "bfloat16"}))
}

#[test]
fn estimates_of_well_known_models() {
    let Some(configs) = shared::configs() else { return };
    let mut table = String::new();
    for (name, json) in &configs {
        let facts = ModelFacts::of_config(json).or(ModelFacts::of_id(name, &[]));
        let estimate = MemoryEstimate::new(&facts, None, Holding::AS_STORED);
        table += &format!(
            "{name}: {:?}, weights {} MB, overhead {} MB, cache {} kB for 1,000 tokens, {} MB at {}, {} tokens in 16 GB\n",
            estimate.basis,
            estimate.weights_bytes / 1_000_000,
            estimate.overhead_bytes / 1_000_000,
            estimate.cache_bytes_per_1000_tokens.map_or("-".into(), |bytes| (bytes / 1000).to_string()),
            estimate.total_bytes / 1_000_000,
            estimate.context,
            estimate.largest_context(16_000_000_000).map_or("-".into(), |tokens| tokens.to_string()),
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn grouped_queries_take_the_cache_of_their_groups() {
    let estimate = MemoryEstimate::new(&qwen3(), Some(1_192_000_000), Holding::AS_STORED);
    // Keys and values of 8 heads of 128 numbers in 28 layers, 2 bytes each.
    assert_eq!(estimate.cache_bytes_per_1000_tokens, Some(2 * 8 * 128 * 28 * 2 * 1000));
    // Beyond the first chunk of a prompt a token takes its part of the cache and no more.
    assert_eq!(estimate.bytes_at(5010) - estimate.bytes_at(5000), 10 * 114_688);
    assert!(!estimate.is_guess());

    let float32 = MemoryEstimate::new(&qwen3(), Some(1_192_000_000), Holding::FLOAT32);
    assert_eq!(float32.cache_bytes_per_1000_tokens, Some(229_376_000));
}

#[test]
fn the_cpu_holds_weights_unpacked() {
    let mut facts = qwen3();
    facts.parameters = Some(596_000_000);
    let stored = MemoryEstimate::new(&facts, Some(335_000_000), Holding::AS_STORED);
    let unpacked = MemoryEstimate::new(&facts, Some(335_000_000), Holding::FLOAT32);
    assert_eq!((stored.weights_bytes, unpacked.weights_bytes), (335_000_000, 4 * 596_000_000));
}

/// What `wasmlx run --json` told as `peak_memory_bytes` on a CPU (MLX 0.32.2), for prompts of so many tokens: within a
/// third above, since estimates are for those who want to know that it fits, and a twentieth below.
#[test]
fn estimates_are_near_what_was_measured() {
    let builtin = (
        json!({"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "num_attention_heads": 8,
            "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 8192, "max_position_embeddings": 1024}),
        21_895_680,
        [(1, 91_240_152), (512, 138_182_748), (1000, 185_325_496)].as_slice(),
    );
    // Random weights.
    let smollm2_135m = (
        json!({"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152, "max_position_embeddings": 8192}),
        134_515_008,
        [(1, 550_400_444), (512, 639_253_564), (2048, 1_176_935_488), (4000, 1_182_027_960)].as_slice(),
    );
    for (config, parameters, measured) in [builtin, smollm2_135m] {
        let mut facts = facts(&config);
        facts.parameters = Some(parameters);
        let estimate = MemoryEstimate::new(&facts, None, Holding::FLOAT32);
        for &(tokens, bytes) in measured {
            let ratio = estimate.bytes_at(tokens) as f64 / f64::from(bytes);
            assert!((0.95..1.34).contains(&ratio), "{parameters} parameters, {tokens} tokens: {ratio:.3}");
        }
    }
}

#[test]
fn latent_attention_keeps_one_vector() {
    let deepseek = facts(&json!({"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64}));
    assert_eq!(deepseek.cache.unwrap().numbers(1, true), 61 * (512 + 64));
}

#[test]
fn a_window_bounds_what_its_layers_keep() {
    let gemma = facts(&json!({"model_type": "gemma2", "hidden_size": 64, "num_hidden_layers": 26, "head_dim": 256,
        "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 4096}));
    let cache = gemma.cache.unwrap();
    let token = 2 * 4 * 256;
    assert_eq!(cache.numbers(10_000, false), token * (13 * 10_000 + 13 * 4096));
    assert_eq!(cache.numbers(10_000, true), token * 26 * 10_000);
}

#[test]
fn without_a_configuration_it_is_a_guess() {
    let id = |id: &str| ModelFacts::of_id(id, &[]);
    let guess = |facts: &ModelFacts, bytes| MemoryEstimate::new(facts, bytes, Holding::AS_STORED);
    let by_size = guess(&id("a/b"), Some(1_000));
    assert_eq!((by_size.basis, by_size.total_bytes, by_size.largest_context(u64::MAX)), (Basis::FileSize, 1_200, None));
    assert!(by_size.is_guess());

    let sizes = ["0.5B", "0.6B", "1B", "1.5B", "2B", "3B", "7B", "8B", "13B", "70B"];
    let gigabytes = sizes.map(|size| guess(&id(&format!("a/b-{size}")), None).total_bytes / 1_000_000_000);
    assert_eq!(gigabytes, [1, 1, 2, 3, 4, 6, 14, 16, 26, 140]);

    let quantised = guess(&id("a/b-8B-4bit"), None);
    assert_eq!((quantised.basis, quantised.total_bytes), (Basis::Parameters, 5_400_000_000));
    let nothing = guess(&id("a/b"), None);
    assert_eq!((nothing.basis, nothing.total_bytes), (Basis::Nothing, 8_000_000_000));
}

proptest! {
    /// The largest context fits and one token more does not; more memory never holds less.
    #[test]
    fn the_largest_context_is_the_largest(memory in 0u64..8_000_000_000, more in 0u64..1_000_000_000) {
        let estimate = MemoryEstimate::new(&qwen3(), Some(1_192_000_000), Holding::AS_STORED);
        let tokens = estimate.largest_context(memory).unwrap();
        prop_assert!(tokens == 0 || estimate.bytes_at(tokens) <= memory);
        prop_assert!(tokens == 40_960 || estimate.bytes_at(tokens + 1) > memory);
        prop_assert!(estimate.largest_context(memory + more).unwrap() >= tokens);
    }

    #[test]
    fn no_number_overflows(weights: u64, parameters: u64, tokens: u64, full: u64, sliding: u64) {
        let mut facts = qwen3();
        facts.parameters = Some(parameters);
        let cache = json!({"full": full, "sliding": sliding, "window": tokens});
        facts.cache = Some(serde_json::from_value(cache).unwrap());
        for holding in [Holding::AS_STORED, Holding::FLOAT32] {
            let estimate = MemoryEstimate::new(&facts, Some(weights), holding);
            prop_assert!(estimate.bytes_at(tokens) >= estimate.weights_bytes);
            estimate.largest_context(tokens);
            MemoryEstimate::new(&ModelFacts::of_id("a/b", &[]), Some(weights), holding);
        }
    }
}
