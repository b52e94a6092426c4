//! Loading models, while other things go on.

use wasmlx::backend::fake::{FakeBackend, FakeScript, Gate};
use wasmlx::{ErrorKind, LoadOptions};

use crate::support::{Folders, Notes, answers};

#[tokio::test]
async fn progress_is_told_file_by_file() {
    let folders = Folders::new();
    let host = folders.host(FakeScript::new());
    let notes = Notes::default();
    let noting = notes.clone();
    let options = LoadOptions::new().progress(move |progress| {
        noting.add(format!("{} of {}", progress.bytes_done, progress.bytes_total));
    });
    let model = host.load_with(Some(&folders.model()), options).await.unwrap();
    let told = notes.all();
    let total =
        told.last().and_then(|last| last.split_once(" of ")).map(|(done, total)| (done.to_owned(), total.to_owned()));
    assert!(total.is_some_and(|(done, total)| done == total), "{told:?}");
    assert_eq!(model.name(), "model");
    assert_eq!(model.device(), "fake");
    assert!(host.memory().await.unwrap().active_bytes > 0);
}

/// Two loads of one model at once are one load.
#[tokio::test]
async fn loading_while_a_load_runs_waits_for_it() {
    let folders = Folders::new();
    let gate = Gate::new();
    // The first load waits for the test. Had the second one loaded too, it would fail by the script.
    let script = FakeScript::new().hold_load(0, &gate).fail_load(1, wasmlx::backend::BackendErrorKind::InvalidModel);
    let host = folders.host(script);
    let load = || {
        let (host, name) = (host.clone(), folders.model());
        tokio::spawn(async move { host.load(&name).await })
    };
    let first = load();
    reached(&gate).await;
    let second = load();
    // Lets it ask.
    tokio::task::yield_now().await;
    gate.open();
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    first.unload().await.unwrap();
    // One model, so the other handle's is gone too.
    assert_eq!(second.unload().await.unwrap_err().kind(), ErrorKind::NotLoaded);
}

/// A load that is dropped while the device comes up takes nothing along.
#[tokio::test]
async fn a_load_dropped_while_the_device_starts_leaves_the_host_fit() {
    let folders = Folders::new();
    let (starting, started) = tokio::sync::oneshot::channel();
    let (go_on, held) = std::sync::mpsc::channel();
    let host = folders.builder_with(move || {
        starting.send(()).expect("the test waits");
        held.recv().expect("the test goes on");
        Ok(Box::new(FakeBackend::new(FakeScript::new())))
    });
    let (host, model) = (host.build().unwrap(), folders.model());
    tokio::select! {
        loaded = host.load(&model) => panic!("the device is held: {loaded:?}"),
        starting = started => starting.unwrap(),
    }
    go_on.send(()).unwrap();
    host.load(&model).await.unwrap();
}

/// Folders may have one name, and a folder may be written in several ways.
#[tokio::test]
async fn folders_of_one_name_are_two_models() {
    let (one, two) = (Folders::new(), Folders::new());
    let host = one.host(FakeScript::new());
    let first = host.load(&one.model()).await.unwrap();
    let second = host.load(&two.model()).await.unwrap();
    assert_eq!((first.name(), second.name()), ("model", "model"));
    let again = host.load(&format!("{}/../model", one.model())).await.unwrap();
    first.unload().await.unwrap();
    assert_eq!(again.unload().await.unwrap_err().kind(), ErrorKind::NotLoaded);
    second.unload().await.unwrap();
}

/// Waits until the device stands at a gate, while other tasks go on.
async fn reached(gate: &Gate) {
    let gate = gate.clone();
    tokio::task::spawn_blocking(move || gate.wait_until_reached()).await.unwrap();
}

/// A load that is asked for while an answer is under way does it no harm.
#[tokio::test]
async fn loading_while_generating() {
    let folders = Folders::new();
    let other = Folders::new();
    std::fs::rename(other.path().join("model"), other.path().join("another")).unwrap();
    let gate = Gate::new();
    let host = folders.host(answers(&[("Hi", "Hello there, how are you?")]).hold_pass(4, &gate));
    let model = host.load(&folders.model()).await.unwrap();
    let completion = model.complete("user: Hi\nassistant: ").start().await.unwrap();
    reached(&gate).await;
    let folder = other.path().join("another");
    let load = tokio::spawn({
        let host = host.clone();
        async move { host.load(folder.to_str().expect("UTF-8")).await }
    });
    tokio::task::yield_now().await;
    gate.open();
    let another = load.await.unwrap().unwrap();
    assert_eq!(another.name(), "another");
    let report = completion.finish().await.unwrap();
    assert_eq!(report.tokens.len(), "Hello there, how are you?".len() + 1);
}
