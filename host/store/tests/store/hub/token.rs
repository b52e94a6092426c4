//! The token goes to the hub, and nowhere else.

use wasmlx_hub_server::{Action, Fault, HubServer};
use wasmlx_store::hub::{HubClient, HubOptions, Token};

use super::{Scene, model};

#[test]
fn the_token_never_leaves_the_hub() {
    let mut scene = Scene::new();
    scene.hub.add(model(2).gated());
    scene.hub.token("hf_secret", true);
    scene.options.token = Token::new(" hf_secret\n");
    // The CDN refuses whoever brings it along.
    scene.pull().unwrap();
    let (at_cdn, at_hub): (Vec<_>, Vec<_>) = scene.hub.requests().into_iter().partition(|request| request.at_cdn);
    assert!(!at_cdn.is_empty() && at_cdn.iter().all(|request| request.authorization.is_none()));
    assert!(at_hub.iter().all(|request| request.authorization.as_deref() == Some("Bearer hf_secret")));
}

#[test]
fn a_redirection_elsewhere_takes_no_token_along() {
    let elsewhere = HubServer::start();
    let mut scene = Scene::new();
    scene.hub.token("hf_secret", true);
    scene.options.token = Token::new("hf_secret");
    let address = format!("{}/api/models/maker/model/revision/main", elsewhere.url());
    scene.hub.fault(Fault::new("/revision/", Action::Redirect(address)));
    scene.pull().unwrap_err();
    let requests = elsewhere.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.authorization.is_none()));
}

#[test]
fn nothing_shows_the_token() {
    let token = Token::new("hf_secret").unwrap();
    let options = HubOptions { token: Some(token.clone()), ..HubOptions::default() };
    let client = HubClient::new(options.clone()).unwrap();
    let shown = format!("{token:?} {token} {options:?} {client:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn what_cannot_be_a_token_is_none() {
    for text in ["", " \n", "two words", "hf_\u{7f}", "hf_\u{e9}"] {
        assert_eq!(Token::new(text), None, "{text:?}");
    }
}

#[test]
fn an_endpoint_is_an_address_without_secrets() {
    for endpoint in ["huggingface.co", "ftp://huggingface.co", "https://user:word@huggingface.co", "https://a/?b", ""] {
        let options = HubOptions { endpoints: vec![endpoint.to_owned()], ..HubOptions::default() };
        let error = HubClient::new(options).unwrap_err();
        assert!(!error.to_string().contains("word@"), "{error}");
    }
}
