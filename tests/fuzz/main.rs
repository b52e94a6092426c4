//! The fuzzing targets over a small corpus, each file as it is, cut short, and with bytes changed, so that every run of
//! the tests exercises them. `README.md` says how to fuzz with libFuzzer.

mod targets;
#[path = "../library/trapping.rs"]
mod trapping;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many changes of each file are tried, at most.
const CHANGES: usize = 12;

/// Where the corpora of all targets lie.
fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// Runs a target over its corpus.
fn over_corpus(target: &str) {
    let (_, run) = targets::ALL.iter().find(|(name, _)| *name == target).expect("a target of this name");
    let folder = corpora().join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds nothing", folder.display());
    run(b"");
    for file in files {
        let bytes = fs::read(file).expect("a file");
        run(&bytes);
        // A short file has fewer places.
        let places: BTreeSet<usize> = (0..CHANGES).map(|change| change * bytes.len() / CHANGES).collect();
        for (change, place) in places.into_iter().enumerate() {
            run(&bytes[..place]);
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(place) {
                *byte ^= 1 << (change % 8);
            }
            run(&changed);
        }
    }
}

/// `cargo xtask fuzz` takes the names of targets from the folders.
#[cfg(feature = "mlx")]
#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let mut folders: Vec<_> =
        fs::read_dir(corpora()).expect("corpora").map(|entry| entry.expect("a folder").file_name()).collect();
    folders.sort();
    assert_eq!(folders, targets::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

/// Components that are loaded, so that what is changed in them is near to what is loaded: they follow the interfaces.
#[test]
fn the_corpus_has_components_of_these_interfaces() {
    let of_other_interfaces = ["chat-component", "prompt-template", "sampling-policy"].into_iter().filter(|world| {
        let file = corpora().join("component").join(world);
        let component = trapping::trapping(world);
        let differs = fs::read(&file).ok().as_ref() != Some(&component);
        if differs {
            fs::write(&file, component).expect("the corpus");
        }
        differs
    });
    let written: Vec<_> = of_other_interfaces.collect();
    assert!(written.is_empty(), "written anew, by the interfaces in wit/: {written:?}; commit them");
}

#[test]
fn artefact() {
    over_corpus("artefact");
}

#[test]
fn cases() {
    over_corpus("cases");
}

#[test]
fn choices() {
    over_corpus("choices");
}

#[test]
fn component() {
    over_corpus("component");
}

#[cfg(feature = "mlx")]
#[test]
fn config() {
    over_corpus("config");
}

#[test]
fn facts() {
    over_corpus("facts");
}

#[test]
fn hub() {
    over_corpus("hub");
}

#[test]
fn journal() {
    over_corpus("journal");
}

#[test]
fn manifest() {
    over_corpus("manifest");
}

#[test]
fn mapping() {
    over_corpus("mapping");
}

#[test]
fn outputs() {
    over_corpus("outputs");
}

#[test]
fn plan() {
    over_corpus("plan");
}

#[test]
fn safetensors() {
    over_corpus("safetensors");
}

#[test]
fn saved() {
    over_corpus("saved");
}

#[test]
fn segments() {
    over_corpus("segments");
}

#[test]
fn sentence() {
    over_corpus("sentence");
}

#[test]
fn signature() {
    over_corpus("signature");
}

#[test]
fn tokenizer() {
    over_corpus("tokenizer");
}

#[test]
fn usage() {
    over_corpus("usage");
}
