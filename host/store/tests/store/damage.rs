//! Files of the store that somebody wrote into.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use wasmlx_store::{Manifest, Monitor, StoreErrorKind};

use crate::support::{Home, begin, name};

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"weights"), ("sub/a.txt", b"text")];

fn manifest_file(home: &Home) -> std::path::PathBuf {
    home.store.home().join("manifests/huggingface.co/a/b/main.json")
}

#[test]
fn verifying_goes_on_past_what_is_wrong_and_puts_it_aside() {
    let home = Home::new();
    let manifest = home.pull("a/b", FILES);
    home.pull("c/d", FILES);
    let blob = |index: usize| home.store.blobs().path(&manifest.files[index].sha256);
    let verify = || home.store.verify(&Monitor::none()).unwrap();
    let clean = verify();
    assert_eq!((clean.files, clean.models, clean.bytes, clean.faults.len()), (3, 2, 13, 0));
    // Read-only files are replaced as an attacker, or a disk, would.
    for (index, bytes) in [(0, &b"{!"[..]), (2, b"te")] {
        fs::remove_file(blob(index)).unwrap();
        fs::write(blob(index), bytes).unwrap();
    }
    fs::remove_file(blob(1)).unwrap();
    let faults = verify().faults;
    assert_eq!(faults.len(), 3);
    assert_eq!(faults.iter().filter(|fault| fault.moved_to.is_some()).count(), 2);
    assert!(faults.iter().all(|fault| fault.models == ["a/b", "c/d"] && fault.message.contains("`wasmlx pull a/b`")));
    assert_eq!(verify().faults.len(), 3, "they are missed until they come anew");
    home.pull("a/b", FILES);
    assert!(verify().faults.is_empty());
    assert_eq!(fs::read_dir(home.store.home().join("blobs/corrupt")).map_or(0, Iterator::count), 0);
}

#[test]
fn a_store_that_is_only_read_is_verified_and_left() {
    let home = Home::new();
    let manifest = home.pull("a/b", FILES);
    let blob = home.store.blobs().path(&manifest.files[1].sha256);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, b"WEIGHTS").unwrap();
    let store = wasmlx_store::Store::open_read_only(home.store.home());
    let faults = store.verify(&Monitor::none()).unwrap().faults;
    assert_eq!((faults.len(), &faults[0].moved_to), (1, &None));
    assert!(blob.exists());
}

#[test]
fn an_intent_that_cannot_be_read_keeps_all_files_until_it_is_removed() {
    let home = Home::new();
    drop(begin(&home.store, "a/b", FILES));
    home.pull("c/d", FILES);
    fs::write(manifest_file(&home).with_added_extension("pulling"), "torn").unwrap();
    assert_eq!(home.store.remove(&["c/d"]).unwrap().swept.hindered.len(), 1);
    assert_eq!(home.blobs(), 3);
    assert_eq!(home.store.list().unwrap().broken[0].name, "a/b");
    home.store.remove(&["a/b"]).unwrap();
    assert_eq!(home.blobs(), 0);
}

/// A later version may have names that this one does not know; their files are not its to remove.
#[test]
fn a_manifest_of_a_name_that_is_not_known_keeps_all_files() {
    let home = Home::new();
    home.pull("a/b", FILES);
    let unknown = manifest_file(&home).with_file_name("what%is%this.json");
    fs::rename(manifest_file(&home), &unknown).unwrap();
    let swept = home.store.collect_garbage(true).unwrap().swept;
    assert_eq!(swept.files, 0);
    assert!(swept.hindered.iter().any(|why| why.contains("what%is%this.json")), "{:?}", swept.hindered);
    assert_eq!(home.blobs(), 3);
    fs::remove_file(unknown).unwrap();
    assert_eq!(home.store.collect_garbage(true).unwrap().swept.files, 3);
}

#[test]
fn a_manifest_says_nothing_that_leads_elsewhere() {
    let home = Home::new();
    home.pull("a/b", FILES);
    let text = fs::read_to_string(manifest_file(&home)).unwrap();
    let digest = wasmlx_store::Digest::of(b"{}").to_string();
    for (from, to) in [
        ("config.json", "../config.json"),
        ("config.json", "/config.json"),
        ("config.json", "sub"),
        ("config.json", "MODEL.safetensors"),
        ("config.json", "con\\\\fig"),
        ("config.json", "z"),
        (digest.as_str(), "../../store.lock"),
        (digest.as_str(), &digest.to_uppercase()),
        ("\"schema\": 1", "\"schema\": 2"),
        ("\"namespace\": \"a\"", "\"namespace\": \"..\""),
        ("\"namespace\": \"a\"", "\"namespace\": \"c\""),
        ("https://huggingface.co", "https://\\u001b[31m"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        fs::write(manifest_file(&home), changed).unwrap();
        let error = home.store.resolve(Some("a/b")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidManifest, "{to}: {error}");
    }
    // One longer than it may be is not read to its end.
    fs::write(manifest_file(&home), text.replace("\"schema\": 1", &format!("\"schema\": 1{}", " ".repeat(1 << 20))))
        .unwrap();
    assert!(home.store.resolve(Some("a/b")).is_err());
}

/// A text with bytes of it changed.
fn changed(text: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut text = text.to_vec();
    for (at, byte) in changes {
        let at = at % text.len();
        text[at] = *byte;
    }
    text
}

fn is_inside(path: &Path, root: &Path) -> bool {
    path.starts_with(root) && path.components().all(|part| !matches!(part, std::path::Component::ParentDir))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever lies where a manifest should is an error, or a manifest whose files lie in its model's folder.
    #[test]
    fn any_bytes_are_an_error_or_a_safe_manifest(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200).prop_map(Err),
            prop::collection::vec((any::<usize>(), any::<u8>()), 1..4).prop_map(Ok),
        ],
    ) {
        let home = Home::new();
        home.pull("a/b", FILES);
        let text = fs::read(manifest_file(&home)).unwrap();
        let bytes = bytes.map_or_else(|bytes| bytes, |changes| changed(&text, &changes));
        fs::write(manifest_file(&home), bytes).unwrap();
        match home.store.manifest(&name("a/b")) {
            Ok(Some(manifest)) => {
                prop_assert_eq!(&manifest.name, &name("a/b"));
                let root = Path::new("model");
                prop_assert!(manifest.files.iter().all(|file| is_inside(&root.join(&file.path), root)));
            }
            Ok(None) => prop_assert!(false, "it is there"),
            Err(error) => prop_assert_eq!(error.kind(), StoreErrorKind::InvalidManifest),
        }
        // Nothing of it is in the way of anything else.
        home.store.list().unwrap();
        home.store.verify(&Monitor::none()).unwrap();
        home.pull("c/d", FILES);
        prop_assert!(home.store.resolve(Some("c/d")).is_ok());
    }

    /// What is written is read back.
    #[test]
    fn a_manifest_is_read_as_it_was_written(
        system in prop::option::of(".{0,40}"),
        // Numbers of few digits: JSON is read to within the last bit of a float.
        parameters in prop::collection::btree_map("[a-z_]{1,8}", -1000_i32..1000, 0..4),
        created in any::<u64>(),
        path in "[^\\x00-\\x1f\\x7f]{0,20}",
    ) {
        let home = Home::new();
        let mut manifest = home.pull("a/b", FILES);
        manifest.created = created;
        manifest.source = wasmlx_store::Source::Import { path };
        manifest.bindings.system = system;
        manifest.bindings.parameters =
            parameters.into_iter().map(|(name, value)| (name, serde_json::json!(f64::from(value) / 16.0))).collect();
        let written: Result<Manifest, _> = begin(&home.store, "a/b", FILES).commit(manifest.clone());
        // Characters that control a terminal are refused.
        if written.is_ok() {
            prop_assert_eq!(home.store.manifest(&name("a/b")).unwrap(), Some(manifest));
        }
    }
}
