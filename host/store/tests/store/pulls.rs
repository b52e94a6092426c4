//! Bringing models into the store: whole, in pieces, cut short, beside others.

use std::fs;

use wasmlx_store::{Digest, Monitor, Opened, PartialKey, StoreErrorKind, WantedFile};

use crate::support::{Home, begin, fetch, finish, name};

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"weights"), ("sub/a.txt", b"text")];

#[test]
fn a_model_is_there_once_it_is_whole() {
    let home = Home::new();
    let pull = begin(&home.store, "a/b", FILES);
    for (path, bytes) in FILES {
        assert!(home.store.manifest(&name("a/b")).unwrap().is_none());
        fetch(&pull, path, bytes);
    }
    let manifest = finish(pull, FILES);
    assert_eq!(home.store.manifest(&name("a/b")).unwrap(), Some(manifest));
    assert_eq!(home.blobs(), 3);
    // Nothing of the work is left.
    assert_eq!(fs::read_dir(home.store.home().join("blobs/partial")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(home.store.home().join("manifests/huggingface.co/a/b")).unwrap().count(), 1);
}

/// Before anything is fetched, not once its manifest turns out too long.
#[test]
fn a_model_of_too_many_files_is_refused_at_once() {
    let home = Home::new();
    let key = PartialKey::Sha256(Digest::of(b""));
    let files = (0..10_000).map(|number| WantedFile { path: format!("file-{number}"), key, size: 0 }).collect();
    let refused = home.store.begin_pull(&name("a/b"), files, &|| panic!("nobody else"), &Monitor::none());
    assert_eq!(refused.map(drop).unwrap_err().kind(), StoreErrorKind::InvalidManifest);
    assert!(home.store.collect_garbage(false).unwrap().swept.hindered.is_empty());
}

#[test]
fn what_was_cut_short_is_taken_up_where_it_was() {
    let home = Home::new();
    let pull = begin(&home.store, "a/b", FILES);
    let (path, bytes) = FILES[1];
    fetch(&pull, path, bytes);
    fetch(&pull, FILES[0].0, FILES[0].1);
    drop(pull);
    // Another model comes and goes meanwhile: its sweep leaves alone what is wanted.
    home.pull("c/d", &[("other.txt", b"other")]);

    let pull = begin(&home.store, "a/b", FILES);
    let found: Vec<bool> = pull.files().iter().map(|file| pull.find(file).unwrap().is_some()).collect();
    assert_eq!(found, [true, true, false]);
    finish(pull, FILES);
}

#[test]
fn some_files_come_without_taking_away_what_was_cut_short() {
    let home = Home::new();
    let some: &[(&str, &[u8])] = &[FILES[0]];
    let begin_some = || {
        let wanted = begin(&home.store, "c/d", some).files().to_vec();
        home.store.begin_pull_of_some(&name("a/b"), wanted, &|| panic!("nobody else"), &Monitor::none()).unwrap()
    };
    let there = |path: &str| {
        let pull = begin(&home.store, "a/b", FILES);
        pull.find(pull.files().iter().find(|file| file.path == path).unwrap()).unwrap().is_some()
    };
    let unfinished =
        || home.store.list().unwrap().unfinished.iter().map(|one| (one.done, one.total)).collect::<Vec<_>>();
    let pull = begin(&home.store, "a/b", FILES);
    fetch(&pull, FILES[1].0, FILES[1].1);
    drop(pull);
    // Cut short itself, given up, and brought to its end.
    drop(begin_some());
    begin_some().abandon().unwrap();
    finish(begin_some(), some);
    home.store.remove(&["c/d"]).unwrap();
    home.store.collect_garbage(false).unwrap();
    assert_eq!(home.store.manifest(&name("a/b")).unwrap().unwrap().files.len(), 1);
    assert_eq!(unfinished(), [(7, 11)], "what is left of the first");
    assert!(there("model.safetensors"));
    // The whole model ends it, and so does whom it is told.
    home.pull("a/b", FILES);
    assert!(unfinished().is_empty());
    fetch(&begin(&home.store, "a/b", &[("more.bin", b"more")]), "more.bin", b"more");
    finish(begin_some(), some);
    home.store.remove(&["c/d"]).unwrap();
    let gone = home.store.collect_garbage(true).unwrap();
    assert_eq!((gone.names, gone.swept.bytes), (vec!["a/b".to_owned()], 4));
}

#[test]
fn what_was_cut_short_and_is_of_another_commit_is_in_nobodys_way() {
    let home = Home::new();
    drop(begin(&home.store, "a/b", &[("Model.bin", b"model"), ("more", b"more")]));
    let files: &[(&str, &[u8])] = &[("model.bin", b"model"), ("more/one.txt", b"one")];
    let wanted = begin(&home.store, "c/d", files).files().to_vec();
    let pull =
        home.store.begin_pull_of_some(&name("a/b"), wanted, &|| panic!("nobody else"), &Monitor::none()).unwrap();
    finish(pull, files);
    assert_eq!(home.store.list().unwrap().unfinished.len(), 1, "that of c/d");
}

#[test]
fn who_gives_up_leaves_nothing() {
    let home = Home::new();
    let pull = begin(&home.store, "a/b", FILES);
    fetch(&pull, FILES[1].0, FILES[1].1);
    pull.abandon().unwrap();
    assert_eq!(home.blobs(), 0);
    assert!(!home.store.home().join("manifests/huggingface.co").exists());
}

#[test]
fn files_that_models_share_are_there_once_and_are_not_fetched_twice() {
    let home = Home::new();
    home.pull("a/b", FILES);
    let pull = begin(&home.store, "c/d", FILES);
    assert!(pull.files().iter().all(|file| pull.find(file).unwrap().is_some()));
    finish(pull, FILES);
    assert_eq!(home.blobs(), 3);
}

#[test]
fn a_later_version_takes_the_place_of_the_one_before() {
    let home = Home::new();
    home.pull("a/b", FILES);
    home.pull("a/b", &[FILES[0], ("model.safetensors", b"better weights")]);
    assert_eq!(home.store.manifest(&name("a/b")).unwrap().unwrap().files.len(), 2);
    assert_eq!(home.blobs(), 2);
}

#[test]
fn two_that_want_one_model_take_turns() {
    let home = Home::new();
    let pull = begin(&home.store, "a/b", FILES);
    let told = std::sync::atomic::AtomicUsize::new(0);
    let waiting = || {
        told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let cancelled = || told.load(std::sync::atomic::Ordering::Relaxed) > 0;
    let monitor = Monitor::new(&|_| {}, &cancelled);
    let refused = home.store.begin_pull(&name("a/b"), Vec::new(), &waiting, &monitor).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Cancelled);
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 1);
    // It is the files that one holds too, whatever model they are of.
    let other = begin(&home.store, "c/d", FILES);
    let Opened::Partial(held) = pull.open(&pull.files()[1], &|| {}, &Monitor::none()).unwrap() else { panic!() };
    let refused = other.open(&other.files()[1], &waiting, &monitor).err().map(|error| error.kind());
    assert_eq!(refused, Some(StoreErrorKind::Cancelled));
    held.write_at(0, FILES[1].1).unwrap();
    held.finish().unwrap();
    finish(pull, FILES);
    finish(other, FILES);
}

#[test]
fn files_that_lead_out_of_a_model_are_refused() {
    let home = Home::new();
    let bad = ["../a", "/a", "a/../b", "a//b", "", ".", "a\\b", "C:a", "a\nb", "a/", "nul\0"];
    let twice = [vec!["a", "A"], vec!["a", "a/b"], vec!["a", "a"]];
    for paths in bad.into_iter().map(|path| vec![path]).chain(twice) {
        let wanted = paths.iter().map(|path| wasmlx_store::WantedFile {
            path: (*path).to_owned(),
            key: wasmlx_store::PartialKey::Sha256(wasmlx_store::Digest::of(b"")),
            size: 0,
        });
        let refused = home.store.begin_pull(&name("a/b"), wanted.collect(), &|| {}, &Monitor::none()).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::InvalidManifest, "{paths:?}");
    }
    assert!(!home.store.home().join("manifests").exists());
}

#[test]
fn a_model_that_lacks_a_file_is_not_there() {
    let home = Home::new();
    let whole = home.pull("a/b", FILES);
    let pull = begin(&home.store, "c/d", FILES);
    let mut manifest = whole.clone();
    manifest.name = name("c/d");
    manifest.files[0].sha256 = wasmlx_store::Digest::of(b"never came");
    assert_eq!(pull.commit(manifest).unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(home.store.manifest(&name("c/d")).unwrap().is_none());
}

#[test]
fn what_the_user_bound_outlasts_a_new_version() {
    let home = Home::new();
    let mut manifest = home.pull("a/b", FILES);
    manifest.bindings.system = Some("Be brief.".to_owned());
    let pull = begin(&home.store, "a/b", FILES);
    let bound = pull.commit(manifest.clone()).unwrap();
    assert_eq!(bound.bindings, manifest.bindings);
    assert_eq!(home.pull("a/b", FILES).bindings, manifest.bindings);
}

#[test]
fn a_store_that_is_only_read_is_left_as_it_is() {
    let home = Home::new();
    let store = wasmlx_store::Store::open_read_only(home.store.home());
    let refused = store.begin_pull(&name("a/b"), Vec::new(), &|| {}, &Monitor::none()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::ReadOnly);
    assert!(!store.home().exists());
}
