//! A component that traps fails its own turn, with a typed error, and stays where the user put it.

use serde_json::json;
use wasmlx::{ComponentRef, ErrorKind, Event};

use crate::guests::{Attack, GOOD, Guest, component};
use crate::support::{Folders, answers, told};

/// A guest of the component tests, as bytes under a name of its own.
fn guest(guest: Guest, kind: &str, world: &str) -> ComponentRef {
    let bytes = component(&guest.module(kind), world, "0.1.0");
    ComponentRef::Bytes { name: format!("hostile-{kind}"), bytes: bytes.into() }
}

/// A policy whose `step` traps.
fn trapping_policy() -> ComponentRef {
    guest(Guest { place: 4, attack: Attack::Trap, ..GOOD }, "policy", "sampling-policy")
}

/// A template whose parser traps at the first piece of an answer.
fn trapping_template() -> ComponentRef {
    guest(Guest { place: 5, attack: Attack::Trap, ..GOOD }, "template", "prompt-template")
}

#[tokio::test]
async fn a_policy_that_traps_is_not_replaced() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().sampler(trapping_policy()).build().await.unwrap();
    // Not by the next turn either: nobody asked for another.
    for _ in 0..3 {
        let error = told(chat.send("Hi").await.unwrap()).await.expect_err("its policy trapped");
        assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
        assert!(error.to_string().contains("hostile-policy"), "{error}");
        assert!(chat.messages().is_empty());
    }
    assert_eq!(chat.settings()["sampler"], json!("hostile-policy"));
    chat.swap_sampler("default-policy").await.unwrap();
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn a_template_that_traps_is_not_replaced() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().template(trapping_template()).build().await.unwrap();
    for _ in 0..3 {
        let error = told(chat.send("Hi").await.unwrap()).await.expect_err("its template trapped");
        assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
        assert!(error.to_string().contains("hostile-template"), "{error}");
        assert!(chat.messages().is_empty());
    }
    chat.swap_template("jinja").await.unwrap();
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn a_json_only_policy_that_dies_lets_no_free_text_through() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let policy = guest(Guest { special: Some("begins-json-and-traps"), ..GOOD }, "policy", "sampling-policy");
    let chat = model.chat().sampler(policy).build().await.unwrap();
    let mut turn = chat.send("Hi").await.unwrap();
    let mut content = String::new();
    let error = loop {
        match turn.next().await.expect("an end") {
            Ok(Event::Content(text)) => content.push_str(&text),
            Ok(Event::Finished(report)) => panic!("it ended well: {report:?}"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(turn.next().await.is_none());
    assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
    assert!("{\"".starts_with(&content), "{content:?} is none of the policy's");
}

#[tokio::test]
async fn others_answer_while_one_of_them_traps() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let bad = model.chat().sampler(trapping_policy()).build().await.unwrap();
    let good = model.chat().build().await.unwrap();
    for _ in 0..3 {
        let (bad, good) = (bad.send("Hi").await.unwrap(), good.send("Hi").await.unwrap());
        let (bad, good) = tokio::join!(told(bad), told(good));
        assert_eq!(bad.expect_err("its policy trapped").kind(), ErrorKind::ComponentFailed);
        assert_eq!(good.unwrap().content, "Hello.");
    }
}
