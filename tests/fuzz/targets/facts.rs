//! A `config.json` of a model that nobody here may ever run: what is known of it, and what memory it would take.

use wasmlx_store::{Holding, MemoryEstimate, ModelFacts};

pub(super) fn run(bytes: &[u8]) {
    let facts = ModelFacts::of_config(bytes).or(ModelFacts::of_id(&String::from_utf8_lossy(bytes), &["4-bit"]));
    let _ = facts.runnable(&["llama", "qwen3"]);
    let _ = facts.size_class();
    for weights in [None, Some(u64::MAX)] {
        let estimate = MemoryEstimate::new(&facts, weights, Holding::AS_STORED);
        assert!(estimate.bytes_at(0) <= estimate.bytes_at(u64::MAX));
        let _ = estimate.largest_context(64 << 30);
    }
}
