//! Several hubs: the next is asked where one does not give what is wanted.

use wasmlx_hub_server::{Action, Fault, HubServer};
use wasmlx_store::StoreErrorKind;
use wasmlx_store::hub::{PullOptions, Token};

use super::{MODEL, Scene, WEIGHTS, model, sent};

/// A scene whose hub is the second of two.
fn behind(first: &str) -> Scene {
    let mut scene = Scene::new();
    scene.options.endpoints.insert(0, first.to_owned());
    scene
}

#[test]
fn a_mirror_that_is_gone_or_lacks_the_model_is_passed_over() {
    // Nobody listens on port 1; the other has no model.
    let empty = HubServer::start();
    for first in ["http://127.0.0.1:1", empty.url()] {
        let scene = behind(first);
        let pulled = scene.pull().unwrap();
        scene.assert_has(&model(1));
        assert_eq!(pulled.manifest.name.host(), "huggingface.co", "whoever served it");
    }
}

#[test]
fn a_mirror_that_fails_half_way_is_replaced() {
    let broken = Fault::new("/cdn/", Action::Status { status: 500, headers: Vec::new() });
    let dropped = Fault::new("/cdn/", Action::Drop { after: 1_000_000 }).times(2);
    let wrong = Fault::new("/cdn/", Action::WrongByte { at: 5_000_000 });
    let listless = Fault::new("/tree/", Action::Status { status: 404, headers: Vec::new() });
    for faults in [vec![dropped, broken], vec![wrong], vec![listless]] {
        let mirror = HubServer::start();
        mirror.add(model(1));
        faults.into_iter().for_each(|fault| mirror.fault(fault));
        let mut scene = behind(mirror.url());
        scene.options.patience.attempts = 2;
        scene.pull().unwrap();
        scene.assert_has(&model(1));
        assert!(mirror.requests().len() > 1 && !scene.hub.requests().is_empty());
    }
}

#[test]
fn what_a_mirror_brought_stays_where_the_next_has_other_etags() {
    let mirror = HubServer::start();
    mirror.add(model(1));
    mirror.fault(Fault::new("/cdn/", Action::Status { status: 500, headers: Vec::new() }).after(1));
    let scene = behind(mirror.url());
    scene.hub.fault(Fault::new("/cdn/", Action::Etag("other".to_owned())));
    scene.pull_as(MODEL, &PullOptions { connections: 1, ..PullOptions::default() }).unwrap();
    scene.assert_has(&model(1));
    assert!(scene.sent() > 0 && sent(&mirror) > 0);
    assert_eq!(sent(&mirror) + scene.sent(), WEIGHTS, "no byte twice");
}

#[test]
fn where_nobody_has_it_that_is_told_rather_than_who_is_gone() {
    let empty = HubServer::start();
    let gone = "http://127.0.0.1:1";
    let mut scene = behind(gone);
    for endpoints in [[gone, empty.url()], [empty.url(), gone]] {
        scene.options.endpoints = endpoints.map(str::to_owned).to_vec();
        assert_eq!(scene.pull().unwrap_err().kind(), StoreErrorKind::NotFound);
    }
}

#[test]
fn a_mirror_gets_no_token() {
    let mirror = HubServer::start();
    mirror.add(model(1));
    let mut scene = Scene::new();
    scene.options.endpoints.push(mirror.url().to_owned());
    scene.options.token = Token::new("hf_secret");
    scene.hub.token("hf_secret", true);
    scene.hub.fault(Fault::new("/resolve/", Action::Status { status: 500, headers: Vec::new() }));
    scene.pull().unwrap();
    assert!(scene.hub.requests().iter().any(|request| request.authorization.is_some()));
    assert!(mirror.requests().iter().all(|request| request.authorization.is_none()), "{MODEL}");
    assert!(mirror.requests().iter().any(|request| request.at_cdn));
}
