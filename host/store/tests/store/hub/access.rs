//! Models that are not for everybody, and what is said to who may not have them.

use wasmlx_hub_server::{HubServer, Repository};
use wasmlx_store::StoreErrorKind as Kind;
use wasmlx_store::hub::{PullOptions, Token};

use super::{MODEL, Scene, model};

/// What a pull is told: with no token, one that the hub does not know, one of somebody without access.
fn told(scene: &mut Scene, name: &str) -> [(Kind, String); 3] {
    scene.hub.token("hf_stranger", false);
    [None, Token::new("hf_unknown"), Token::new("hf_stranger")].map(|token| {
        scene.options.token = token;
        let error = scene.pull_as(name, &PullOptions::default()).unwrap_err();
        let message = error.to_string().replace(scene.hub.url(), "HUB");
        assert!(!message.contains("hf_"), "{message}");
        (error.kind(), message)
    })
}

fn with(repository: Repository) -> Scene {
    let mut scene = Scene::new();
    scene.hub = HubServer::start();
    scene.hub.add(repository);
    scene.options.endpoints = vec![scene.hub.url().to_owned()];
    scene
}

fn a_member_gets_it(mut scene: Scene) {
    scene.hub.token("hf_member", true);
    scene.options.token = Token::new("hf_member");
    scene.pull().unwrap();
    scene.assert_has(&model(1));
}

#[test]
fn a_gated_model_says_where_to_accept_its_terms() {
    let mut scene = with(model(1).gated());
    insta::assert_debug_snapshot!(told(&mut scene, MODEL));
    a_member_gets_it(scene);
}

#[test]
fn a_private_model_is_shown_to_who_may_see_it() {
    let mut scene = with(model(1).private());
    insta::assert_debug_snapshot!(told(&mut scene, MODEL));
    a_member_gets_it(scene);
}

#[test]
fn a_model_or_revision_that_is_not_there_is_told() {
    let mut scene = with(model(1));
    insta::assert_debug_snapshot!(told(&mut scene, "maker/other"));
    scene.options.token = None;
    let error = scene.pull_as("maker/model:v9", &PullOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSuchRevision);
    insta::assert_snapshot!(error.to_string().replace(scene.hub.url(), "HUB"));
}

#[test]
fn offline_asks_nobody() {
    let mut scene = with(model(1));
    scene.options.offline = true;
    let error = scene.pull().unwrap_err();
    assert_eq!(error.kind(), Kind::Offline);
    assert!(error.to_string().contains("--offline"), "{error}");
    assert!(scene.hub.requests().is_empty());
}

#[test]
fn what_cannot_be_run_here_is_not_fetched() {
    let gguf = Repository::new(MODEL).file("config.json", "{}").large_file("model.Q4_K_M.gguf", "GGUF");
    let scene = with(gguf);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidModel);
    insta::assert_snapshot!(error);
    assert_eq!(scene.hub.requests().len(), 2);
}
