//! A hub that misbehaves: each fault with what comes of it.

use wasmlx_hub_server::{Action, Content, Fault, Repository};
use wasmlx_store::StoreErrorKind as Kind;
use wasmlx_store::hub::{PullOptions, Selection};

use super::{MODEL, Scene, WEIGHTS, model};

/// Where the bytes of the weights come from, of a small file, and what is said of the model.
const BYTES: &str = "/cdn/";
const SMALL: &str = "/api/resolve-cache/";
const LIST: &str = "/tree/";
const PAGE: &str = "/revision/";

/// The pull goes well in spite of it.
#[track_caller]
fn is_survived(faults: impl IntoIterator<Item = Fault>) -> Scene {
    let scene = Scene::new();
    faults.into_iter().for_each(|fault| scene.hub.fault(fault));
    scene.pull().unwrap();
    scene.assert_has(&model(1));
    scene
}

/// The pull fails, and goes well once the fault is gone.
#[track_caller]
fn is_told(fault: Fault, kind: Kind, words: &str) -> Scene {
    let scene = Scene::new();
    scene.hub.fault(fault);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    scene.hub.clear_faults();
    scene.pull().unwrap();
    scene.assert_has(&model(1));
    scene
}

#[test]
fn connections_that_drop_are_taken_up_at_their_last_byte() {
    let dropped = Fault::new(BYTES, Action::Drop { after: 300_000 }).times(3);
    let scene = is_survived([dropped, Fault::new(SMALL, Action::Drop { after: 1 }).times(1)]);
    assert_eq!(scene.sent(), WEIGHTS, "no byte twice");
    is_told(Fault::new(BYTES, Action::Drop { after: 0 }), Kind::Unreachable, "broke off");
}

#[test]
fn a_lie_about_the_length_changes_nothing() {
    is_survived([Fault::new(BYTES, Action::Longer(1000))]);
    is_survived([Fault::new(BYTES, Action::Shorter(1000)).times(3)]);
    is_told(Fault::new(SMALL, Action::Longer(5)), Kind::InvalidAnswer, "another length");
    is_told(Fault::new(SMALL, Action::Shorter(5)), Kind::InvalidAnswer, "another length");
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_then_refused() {
    let scene = is_survived([Fault::new(BYTES, Action::WrongByte { at: 7_000_000 }).times(3)]);
    assert_eq!(scene.sent(), 2 * WEIGHTS);
    is_survived([Fault::new(SMALL, Action::WrongByte { at: 3 }).times(1)]);
    let scene = is_told(
        Fault::new(BYTES, Action::WrongByte { at: 7_000_000 }),
        Kind::Corrupt,
        "model.safetensors from http://127.0.0.1",
    );
    assert_eq!(scene.sent(), 3 * WEIGHTS, "nothing of the wrong ones was kept");
    is_told(Fault::new(SMALL, Action::WrongByte { at: 3 }), Kind::Corrupt, "is not what was published");
}

#[test]
fn a_hub_that_is_asked_too_often_is_left_alone_for_as_long_as_it_says() {
    let busy = |wait: &str| Action::status(429, "Retry-After", wait);
    is_survived([Fault::new(BYTES, busy("1")).times(2)]);
    is_survived([Fault::new(PAGE, busy("Sun, 06 Nov 1994 08:49:37 GMT")).times(2)]);
    for long in [busy("3600"), Action::status(429, "RateLimit", r#""api";r=0;t=3600"#)] {
        let scene = Scene::new();
        scene.hub.fault(Fault::new(PAGE, long));
        let error = scene.pull().unwrap_err();
        assert_eq!(error.kind(), Kind::RateLimited, "{error}");
        assert!(error.to_string().contains("3600 s"), "{error}");
        assert_eq!(scene.hub.requests().len(), 1, "not asked again before its time");
    }
}

#[test]
fn a_hub_that_is_out_of_order_is_asked_again() {
    let broken = |status| Action::Status { status, headers: Vec::new() };
    is_survived([PAGE, LIST, "/resolve/", BYTES, SMALL].map(|path| Fault::new(path, broken(503)).times(2)));
    let scene = is_told(Fault::new(LIST, broken(500)), Kind::Unreachable, "500");
    let lists = scene.hub.requests().iter().filter(|request| request.status == 500).count();
    assert_eq!(lists, 4, "as often as patience says");
}

#[test]
fn a_file_that_is_gone_is_told() {
    let gone = Action::status(404, "X-Error-Code", "EntryNotFound");
    // Several are asked for at once, and which is told of first is chance.
    is_told(Fault::new("/resolve/", gone), Kind::NotFound, " of maker/model");
}

#[test]
fn what_hardly_comes_or_does_not_come_is_asked_for_again() {
    is_survived([Fault::new(BYTES, Action::Drip { rate: 20 }).times(2)]);
    is_survived([Fault::new(BYTES, Action::Silence).times(1)]);
    is_survived([Fault::new(BYTES, Action::Stall { after: 70_000 }).times(2)]);
    is_survived([Fault::new(PAGE, Action::Silence).times(1)]);
    is_told(Fault::new(PAGE, Action::Silence), Kind::Unreachable, "in time");
    is_told(Fault::new(LIST, Action::Stall { after: 10 }), Kind::Unreachable, "in time");
}

#[test]
fn an_etag_that_changes_takes_nothing_from_a_file_of_known_hash() {
    let scene = is_survived([Fault::new(BYTES, Action::Etag("other".to_owned())).after(2)]);
    assert_eq!(scene.sent(), WEIGHTS, "no byte twice");
    // Nor from one call to the next; where it was another file indeed, its hash says so.
    let scene = Scene::new();
    scene.hub.fault(Fault::new(BYTES, Action::Status { status: 500, headers: Vec::new() }).after(1));
    let one = PullOptions { connections: 1, ..PullOptions::default() };
    assert_eq!(scene.pull_as(MODEL, &one).unwrap_err().kind(), Kind::Unreachable);
    let before = scene.sent();
    assert!(before > 0);
    scene.hub.clear_faults();
    scene.hub.fault(Fault::new(BYTES, Action::WrongByte { at: WEIGHTS - 1 }).after(1).times(1));
    scene.hub.fault(Fault::new(BYTES, Action::Etag("other".to_owned())));
    scene.pull_as(MODEL, &one).unwrap();
    scene.assert_has(&model(1));
    assert_eq!(scene.sent(), 2 * WEIGHTS, "what was wrong came anew, once");
}

#[test]
fn an_etag_that_changes_begins_a_file_anew_that_git_alone_knows() {
    // Servers that share the work and do not agree, too.
    for changes in [vec![2], vec![2, 4, 6, 8]] {
        let scene = Scene::new();
        let large = model(1).file("vocab.json", Content::noise(7, WEIGHTS as usize));
        scene.hub.add(large.clone());
        let path = format!("/api/resolve-cache/models/{MODEL}/{}/vocab.json", large.commit());
        for after in &changes {
            scene.hub.fault(Fault::new(&path, Action::Etag(format!("of {after}"))).after(*after));
        }
        let pulled = scene.pull().unwrap();
        let sent = scene.hub.requests().iter().filter(|request| request.path == path).map(|request| request.sent).sum();
        assert!(WEIGHTS < sent, "{sent}");
        assert!(pulled.manifest.files.iter().any(|file| file.path == "vocab.json" && file.size == WEIGHTS));
    }
}

#[test]
fn redirections_end() {
    let scene = Scene::new();
    let address = format!("{}/maker/model/resolve/here", scene.hub.url());
    scene.hub.fault(Fault::new("/resolve/", Action::Redirect(address)));
    let error = scene.pull().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidAnswer, "{error}");
    assert!(error.to_string().contains("from redirection to redirection"), "{error}");
    for nowhere in ["", "file:///etc/passwd", "http://[", "ftp://127.0.0.1/"] {
        is_told(Fault::new(BYTES, Action::Redirect(nowhere.to_owned())), Kind::InvalidAnswer, "");
    }
}

#[test]
fn a_server_without_ranges_is_read_in_one_piece() {
    let scene = is_survived([Fault::new(BYTES, Action::WholeFile)]);
    let last = scene.hub.requests().into_iter().rev().find(|request| request.at_cdn).unwrap();
    assert_eq!((last.range, last.sent), (None, WEIGHTS));
    // It breaks off: there is nothing to take up.
    let scene = Scene::new();
    scene.hub.fault(Fault::new(BYTES, Action::Drop { after: 9_000_000 }).after(1).times(1));
    scene.hub.fault(Fault::new(BYTES, Action::WholeFile));
    scene.pull_as(MODEL, &PullOptions { connections: 1, ..PullOptions::default() }).unwrap();
    scene.assert_has(&model(1));
    assert!(scene.sent() >= WEIGHTS + 9_000_000);
}

#[test]
fn other_bytes_than_those_asked_for_are_not_taken() {
    is_survived([Fault::new(BYTES, Action::WrongRange).times(3)]);
    is_told(Fault::new(BYTES, Action::WrongRange), Kind::InvalidAnswer, "other bytes");
}

#[test]
fn lists_without_end_are_not_read_to_it() {
    is_told(Fault::new(PAGE, Action::EndlessJson), Kind::InvalidAnswer, "without end");
    is_told(Fault::new(LIST, Action::EndlessJson), Kind::InvalidAnswer, "without end");
    is_told(Fault::new(LIST, Action::TornJson), Kind::InvalidAnswer, "not understood");
}

#[test]
fn links_that_expire_are_asked_for_anew() {
    let scene = is_survived([Fault::new(BYTES, Action::status(403, "X", "expired")).after(2).times(1)]);
    let resolved = scene.hub.requests().iter().filter(|request| request.path.ends_with("model.safetensors")).count();
    assert!(resolved > 1, "the hub was asked where the weights are");
}

#[test]
fn no_name_of_a_file_leads_out_of_the_store() {
    let everything = PullOptions {
        selection: Selection { include: vec!["*".to_owned()], exclude: Vec::new() },
        ..PullOptions::default()
    };
    for path in ["../escaped", "/absolute", "a/../../b", "a\\b", "C:evil", "con\u{1b}trol", "a//b", "CONFIG.json"] {
        let scene = Scene::new();
        scene.hub.add(model(2).file(path, "evil"));
        let error = scene.pull_as(MODEL, &everything).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidManifest, "{path}: {error}");
        assert!(!error.to_string().contains('\u{1b}'), "{path}: {error}");
        assert_eq!(scene.hub.requests().iter().filter(|request| request.at_cdn).count(), 0, "{path}");
        // A runner does not need it, so it does not matter.
        scene.pull().unwrap();
        let beside: Vec<_> =
            std::fs::read_dir(scene.home.beside()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside, ["home"]);
    }
}

#[test]
fn what_has_no_room_is_not_begun() {
    let scene = Scene::new();
    let small = scene.home.beside().join("small");
    std::fs::write(&small, "small").unwrap();
    // No disk has that, and no hub such files.
    for (size, kind) in [(1 << 44, Kind::NoSpace), ((1 << 44) + 1, Kind::InvalidAnswer), (1 << 62, Kind::InvalidAnswer)]
    {
        let huge = || Content::File { path: small.clone(), size };
        let shards = ["model-1-of-2.safetensors", "model-2-of-2.safetensors", "model.safetensors.index.json"];
        let huge = shards.into_iter().fold(Repository::new(MODEL), |model, shard| model.large_file(shard, huge()));
        scene.hub.add(huge.file("config.json", "{}"));
        let error = scene.pull().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(scene.hub.requests().iter().all(|request| request.path.starts_with("/api/models/")));
    }
}
