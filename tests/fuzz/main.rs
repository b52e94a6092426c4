//! The fuzzing targets over a small corpus, each file as it is, cut short, and with bytes changed, so that every run of
//! the tests exercises them. `README.md` says how to fuzz with libFuzzer.

mod targets;

use std::fs;
use std::path::Path;

/// How many changes of each file are tried.
const CHANGES: usize = 12;

/// Runs a target over its corpus.
fn over_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds nothing", folder.display());
    run(b"");
    for file in files {
        let bytes = fs::read(file).expect("a file");
        run(&bytes);
        for change in 0..CHANGES {
            let place = change * bytes.len() / CHANGES;
            run(&bytes[..place]);
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(place) {
                *byte ^= 1 << (change % 8);
            }
            run(&changed);
        }
    }
}

#[test]
fn artefact() {
    over_corpus("artefact", targets::artefact::run);
}

#[test]
fn cases() {
    over_corpus("cases", targets::cases::run);
}

#[test]
fn choices() {
    over_corpus("choices", targets::choices::run);
}

#[test]
fn component() {
    over_corpus("component", targets::component::run);
}

#[test]
fn outputs() {
    over_corpus("outputs", targets::outputs::run);
}

#[test]
fn saved() {
    over_corpus("saved", targets::saved::run);
}

#[test]
fn segments() {
    over_corpus("segments", targets::segments::run);
}

#[test]
fn facts() {
    over_corpus("facts", targets::facts::run);
}

#[test]
fn hub() {
    over_corpus("hub", targets::hub::run);
}

#[test]
fn journal() {
    over_corpus("journal", targets::journal::run);
}

#[test]
fn manifest() {
    over_corpus("manifest", targets::manifest::run);
}

#[test]
fn mapping() {
    over_corpus("mapping", targets::mapping::run);
}

#[test]
fn safetensors() {
    over_corpus("safetensors", targets::safetensors::run);
}

#[test]
fn signature() {
    over_corpus("signature", targets::signature::run);
}

#[test]
fn tokenizer() {
    over_corpus("tokenizer", targets::tokenizer::run);
}

#[test]
fn usage() {
    over_corpus("usage", targets::usage::run);
}

#[cfg(feature = "mlx")]
#[test]
fn config() {
    over_corpus("config", targets::config::run);
}
