//! What a grammar costs: to compile, to begin, and a token, over as many tokens as Qwen3 has scores.

#![allow(clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use wasmlx_text::{Grammar, GrammarSource, Segment, Tokenizer};

const TOKENS: usize = 151_936;

/// A byte-level tokenizer without merges: all bytes, what JSON is punctuated with, and made-up words with and without
/// a space before them.
fn tokenizer() -> Tokenizer {
    let printable = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff);
    let mut names: Vec<String> = printable.clone().map(|byte| char::from(byte).to_string()).collect();
    names.extend(
        (0..256 - printable.count() as u32).filter_map(|index| char::from_u32(0x100 + index)).map(String::from),
    );
    names.extend(["\":", "\",", "{\"", "\"}", "\"]", "[\"", "},", "Ċ  ", "ĠĠĠĠ"].map(String::from));
    let mut seed = 1_u64;
    while names.len() < TOKENS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = 2 + (seed >> 60) as usize % 7;
        let letters = (0..length).map(|index| char::from(b'a' + (seed >> (5 * index) & 31) as u8 % 26));
        let space = if seed >> 40 & 1 == 1 { "Ġ" } else { "" };
        names.push(format!("{space}{}{}", letters.collect::<String>(), names.len() % 10));
    }
    let vocabulary: Map<String, Value> = names.into_iter().zip(0..).map(|(name, id)| (name, json!(id))).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": byte_level,
        "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": false}
    });
    Tokenizer::from_bytes(tokenizer.to_string().as_bytes()).unwrap()
}

fn grammar(criterion: &mut Criterion) {
    let tokenizer = tokenizer();
    let source = GrammarSource::JsonSchema(json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer"},
            "tags": {"type": "array", "items": {"enum": ["kind", "brave", "wise"]}}
        },
        "required": ["name", "age", "tags"], "additionalProperties": false
    }));
    let text = r#"{"name": "Ada Lovelace of London", "age": 36, "tags": ["kind", "brave", "wise"]}"#;
    let tokens = tokenizer.encode(&[Segment::Untrusted(text.into())]).unwrap();
    let compiled = Grammar::compile(&tokenizer, &source).unwrap();

    let mut group = criterion.benchmark_group(format!("a grammar over {} tokens", tokenizer.vocab_size()));
    group.bench_function("compile", |bencher| bencher.iter(|| Grammar::compile(&tokenizer, &source).unwrap()));
    group.bench_function("begin", |bencher| bencher.iter(|| compiled.matcher().unwrap()));
    group.throughput(Throughput::Elements(tokens.len() as u64));
    group.bench_function("mask and take each token of an answer", |bencher| {
        bencher.iter(|| {
            let mut matcher = compiled.matcher().unwrap();
            for &token in &tokens {
                matcher.mask().unwrap();
                assert!(matcher.accept(token).unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, grammar);
criterion_main!(benches);
