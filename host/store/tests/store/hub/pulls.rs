//! Pulls that go well, are broken off, and are done by several at once.

use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use wasmlx_hub_server::{Action, Fault, Repository};
use wasmlx_store::hub::{PullOptions, Pulled, Selection};
use wasmlx_store::{Monitor, Name, Progress, Stage, StoreErrorKind};

use super::{FILES, MODEL, Scene, WEIGHTS, model, run};

#[test]
fn a_model_comes_as_it_was_published_and_by_what_a_runner_needs() {
    let scene = Scene::new();
    let pulled = scene.pull().unwrap();
    scene.assert_has(&model(1));
    assert_eq!(pulled.fetched, pulled.manifest.size());
    assert!(!pulled.was_current);
    let files = scene.hub.requests().into_iter().filter(|request| request.path.contains("/resolve/"));
    assert_eq!(files.count(), 4, "each is asked for once, whatever its parts");
    // The parts are those of the whole, and no more.
    assert_eq!(scene.sent(), WEIGHTS);
}

#[test]
fn what_is_there_takes_one_request() {
    let scene = Scene::new();
    scene.pull().unwrap();
    scene.hub.clear_requests();
    let pulled = scene.pull().unwrap();
    assert!(pulled.was_current);
    assert_eq!((pulled.fetched, scene.hub.requests().len()), (0, 1));
}

#[test]
fn a_new_commit_brings_what_changed_alone() {
    let scene = Scene::new();
    scene.pull().unwrap();
    scene.hub.clear_requests();
    let newer = model(1).file("generation_config.json", r#"{"top_k": 20}"#);
    scene.hub.add(newer.clone());
    let pulled = scene.pull().unwrap();
    assert_eq!((pulled.fetched, scene.sent()), (13, 0));
    assert_eq!(pulled.manifest.commit(), Some(&*newer.commit()));
}

#[test]
fn revisions_are_models_of_their_own() {
    let scene = Scene::new();
    scene.hub.add(model(2).tag("refs/pr/7"));
    scene.hub.add(model(3));
    let by_tag = scene.pull_as("maker/model:refs/pr/7", &PullOptions::default()).unwrap();
    assert_eq!(by_tag.manifest.commit(), Some(&*model(2).commit()));
    let by_commit = scene.pull_as(&format!("{MODEL}:{}", model(1).commit()), &PullOptions::default()).unwrap();
    assert_eq!(by_commit.manifest.commit(), Some(&*model(1).commit()));
    assert!(scene.home.store.manifest(&Name::parse(MODEL).unwrap()).unwrap().is_none());
}

#[test]
fn long_lists_come_on_pages() {
    let scene = Scene::new();
    scene.hub.page_size(2);
    scene.pull().unwrap();
    scene.assert_has(&model(1));
    let pages = scene.hub.requests().iter().filter(|request| request.path.contains("/tree/")).count();
    assert_eq!(pages, 4);
}

#[test]
fn a_pull_that_was_cut_short_fetches_only_what_lacks() {
    let scene = Scene::new();
    // Each connection breaks in the midst of its part, for good.
    scene.hub.fault(Fault::new("/cdn/", Action::Drop { after: 3_000_000 }).times(2));
    scene.hub.fault(Fault::new("/cdn/", Action::Status { status: 500, headers: Vec::new() }));
    assert_eq!(scene.pull().unwrap_err().kind(), StoreErrorKind::Unreachable);
    let before = scene.sent();
    assert!(before >= 3_000_000);
    scene.hub.clear_faults();
    scene.hub.clear_requests();
    let pulled = scene.pull().unwrap();
    scene.assert_has(&model(1));
    assert!(scene.sent() <= WEIGHTS - 3_000_000, "{} of {WEIGHTS} again", scene.sent());
    assert_eq!(pulled.fetched, scene.sent(), "nor the small files");
}

#[test]
fn some_files_can_be_had_while_the_whole_is_unfinished() {
    let scene = Scene::new();
    scene.hub.fault(Fault::new("/cdn/", Action::Drop { after: 3_000_000 }).times(1));
    scene.hub.fault(Fault::new("/cdn/", Action::Status { status: 500, headers: Vec::new() }));
    scene.pull().unwrap_err();
    let before = scene.sent();
    scene.hub.clear_faults();
    let pulled = scene.pull_as(MODEL, &choice(&["*.json"], &["onnx/*"])).unwrap();
    assert_eq!(paths(&pulled), ["config.json", "tokenizer.json"]);
    let list = scene.home.store.list().unwrap();
    assert_eq!((list.models.len(), list.unfinished.len()), (1, 1));
    assert_eq!(scene.sent(), before, "the weights were not asked for");
    // What had come of them was not lost.
    scene.pull().unwrap();
    scene.assert_has(&model(1));
    assert!(scene.sent() < before + WEIGHTS);
    assert!(scene.home.store.list().unwrap().unfinished.is_empty());
}

#[test]
fn who_breaks_it_off_can_go_on() {
    let scene = Scene::new();
    scene.hub.throttle(8 << 20);
    let name = Name::parse(MODEL).unwrap();
    let done = AtomicU64::new(0);
    let report = |progress: &Progress| done.store(progress.done, Ordering::Relaxed);
    let is_enough = || done.load(Ordering::Relaxed) > WEIGHTS / 4;
    let (client, options) = (scene.client(), PullOptions::default());
    let monitor = Monitor::new(&report, &is_enough);
    let error = run(client.pull(&scene.home.store, &name, &options, &monitor)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Cancelled);
    scene.assert_only_what_is_right();
    scene.hub.throttle(0);
    let pulled = scene.pull().unwrap();
    scene.assert_has(&model(1));
    assert!(pulled.fetched < WEIGHTS, "{}", pulled.fetched);
}

#[test]
fn progress_begins_with_nothing_and_ends_with_everything() {
    let scene = Scene::new();
    let name = Name::parse(MODEL).unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    let report = |progress: &Progress| told.lock().unwrap().push(progress.clone());
    let (client, options) = (scene.client(), PullOptions::default());
    let monitor = Monitor::new(&report, &|| false);
    let pulled = run(client.pull(&scene.home.store, &name, &options, &monitor)).unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.iter().all(|progress| progress.stage == Stage::Fetching && progress.what == MODEL));
    assert!(told.is_sorted_by_key(|progress| progress.done));
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (pulled.manifest.size(), pulled.manifest.size()));
}

#[test]
fn several_that_want_one_model_fetch_it_once() {
    let scene = Scene::new();
    scene.hub.throttle(8 << 20);
    let (client, options) = (scene.client(), PullOptions::default());
    let name = Name::parse(MODEL).unwrap();
    // By another revision it is another model of the same files.
    let other = Name::parse(&format!("{MODEL}:{}", model(1).commit())).unwrap();
    let waited = AtomicUsize::new(0);
    let report = |progress: &Progress| {
        waited.fetch_add(usize::from(progress.stage == Stage::Waiting), Ordering::Relaxed);
    };
    let monitor = Monitor::new(&report, &|| false);
    let pull = |name| client.pull(&scene.home.store, name, &options, &monitor);
    let (one, same, another) = run(async { tokio::join!(pull(&name), pull(&name), pull(&other)) });
    let pulled = [one.unwrap(), same.unwrap(), another.unwrap()];
    assert_eq!(scene.sent(), WEIGHTS);
    assert_eq!(pulled.iter().filter(|pulled| pulled.was_current).count(), 1);
    assert!(waited.load(Ordering::Relaxed) >= 1);
    scene.assert_has(&model(1));
}

#[test]
fn patterns_choose_the_files() {
    let scene = Scene::new();
    let pulled = scene.pull_as(MODEL, &choice(&["*.json"], &["onnx/*"])).unwrap();
    assert_eq!(paths(&pulled), ["config.json", "tokenizer.json"]);
    // What was pulled in part is no reason not to fetch the rest.
    assert!(!scene.pull().unwrap().was_current);
    scene.assert_has(&model(1));
}

#[test]
fn what_was_left_out_comes_with_the_next_pull() {
    let runnable = ["config.json", "model.safetensors"];
    for options in [choice(&[], &["tokenizer*", "README*"]), choice(&runnable, &[])] {
        let scene = Scene::new();
        assert_eq!(paths(&scene.pull_as(MODEL, &options).unwrap()), runnable);
        // One after the other they come together.
        let both = scene.pull_as(MODEL, &choice(&["README*"], &[])).unwrap();
        assert_eq!(paths(&both), ["README.md", "config.json", "model.safetensors"]);
        let pulled = scene.pull().unwrap();
        assert!(!pulled.was_current);
        scene.assert_has(&model(1));
        assert_eq!(scene.sent(), WEIGHTS, "the weights came once");
        scene.hub.clear_requests();
        assert!(scene.pull().unwrap().was_current);
        assert_eq!(scene.hub.requests().len(), 1);
    }
}

#[test]
fn some_files_of_a_model_take_none_of_the_others_away() {
    let scene = Scene::new();
    scene.pull().unwrap();
    let pulled = scene.pull_as(MODEL, &choice(&["README*"], &[])).unwrap();
    assert!(pulled.was_current);
    scene.assert_has(&model(1));
    let pulled = scene.pull_as(MODEL, &choice(&["onnx/*"], &[])).unwrap();
    assert_eq!((pulled.was_current, pulled.fetched), (false, 0), "its bytes are those of another file");
    assert_eq!(paths(&pulled), [&FILES[..3], &["onnx/config.json"], &FILES[3..]].concat());
    // At another commit the weights have other names.
    let newer = Repository::new(MODEL)
        .file("config.json", "{}")
        .file("README.md", "# Newer\n")
        .large_file("model-00001-of-00001.safetensors", "weights")
        .file("model.safetensors.index.json", "{}");
    scene.hub.add(newer.clone());
    let pulled = scene.pull_as(MODEL, &choice(&["README*"], &[])).unwrap();
    assert_eq!(pulled.manifest.commit(), Some(&*newer.commit()));
    let whole = ["README.md", "config.json", "model-00001-of-00001.safetensors", "model.safetensors.index.json"];
    assert_eq!(paths(&pulled), whole);
    assert!(scene.pull().unwrap().was_current, "it is the whole model");
}

#[test]
fn a_manifest_that_cannot_be_read_is_made_anew() {
    let scene = Scene::new();
    scene.pull().unwrap();
    let path = scene.home.store.home().join("manifests/huggingface.co/maker/model/main.json");
    let written = fs::read_to_string(&path).unwrap();
    for bad in [&written[..100], &written.replace("\"schema\": 1", "\"schema\": 2"), ""] {
        fs::write(&path, bad).unwrap();
        scene.pull().unwrap();
        scene.assert_has(&model(1));
    }
    assert_eq!(scene.sent(), WEIGHTS, "its files were there");
}

#[test]
fn a_model_is_called_as_its_hub_calls_it() {
    let scene = Scene::new();
    scene.hub.add(model(1).formerly("maker/old"));
    let name = |pulled: Pulled| pulled.manifest.name.to_string();
    assert_eq!(name(scene.pull_as("Maker/MODEL", &PullOptions::default()).unwrap()), MODEL);
    assert!(scene.pull().unwrap().was_current);
    // What it was called before goes on to mean it.
    assert_eq!(name(scene.pull_as("maker/old", &PullOptions::default()).unwrap()), "maker/old");
    assert!(scene.pull_as("maker/old", &PullOptions::default()).unwrap().was_current);
    assert_eq!(scene.sent(), WEIGHTS);
}

#[test]
fn names_that_are_no_models_of_a_hub_are_told() {
    let scene = Scene::new();
    for name in ["model", "example.org/maker/model"] {
        assert_eq!(scene.pull_as(name, &PullOptions::default()).unwrap_err().kind(), StoreErrorKind::InvalidName);
    }
    assert!(scene.hub.requests().is_empty());
}

fn choice(include: &[&str], exclude: &[&str]) -> PullOptions {
    let list = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    PullOptions { selection: Selection { include: list(include), exclude: list(exclude) }, connections: 1 }
}

fn paths(pulled: &Pulled) -> Vec<&str> {
    pulled.manifest.files.iter().map(|file| file.path.as_str()).collect()
}
