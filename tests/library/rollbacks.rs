//! Components that pass their own cases and break down in their first turns: the slot goes back by itself.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use wasmlx::backend::fake::FakeScript;
use wasmlx::{Chat, ComponentRef, ErrorKind, Slot, SlotEvent, SwapOptions};

use crate::guests::{Attack, GOOD, Guest, component};
use crate::support::{Folders, answers, told};

fn hello() -> FakeScript {
    answers(&[("Hi", "Hello.")])
}

async fn says(chat: &Chat) -> wasmlx::Result<String> {
    Ok(told(chat.send("Hi").await?).await?.content)
}

/// A component in a folder of its own, beside a case.
fn with_case(guest: Guest, kind: &str, world: &str, case: serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unsound.wasm"), component(&guest.module(kind), world, "0.1.0")).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/cases.json"), json!([case]).to_string()).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// What traps where an answer is read, which its case does not look at.
fn template() -> (tempfile::TempDir, PathBuf) {
    let guest = Guest { place: 5, attack: Attack::Trap, ..GOOD };
    let conversation = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let case = json!({"name": "renders", "conversation": conversation, "segments": [{"trusted": "ok"}]});
    with_case(guest, "template", "prompt-template", case)
}

/// What traps in every step, where its case has it plan.
fn sampler() -> (tempfile::TempDir, PathBuf) {
    let guest = Guest { place: 4, attack: Attack::Trap, ..GOOD };
    with_case(guest, "policy", "sampling-policy", json!({"name": "plans nothing", "params": {}, "plan": null}))
}

#[tokio::test]
async fn an_unsound_template_or_sampler_goes_back_for_every_chat() {
    for (slot, (_folder, path), before) in
        [(Slot::Template, template(), "jinja"), (Slot::Sampler, sampler(), "mirostat")]
    {
        let folders = Folders::new();
        let host = folders.host(hello());
        let model = host.load(&folders.model()).await.unwrap();
        let chats = [model.chat().build().await.unwrap(), model.chat().build().await.unwrap()];
        host.swap(slot, before).await.unwrap();
        for chat in &chats {
            assert_eq!(says(chat).await.unwrap(), "Hello.");
        }

        let mut events = host.slot_events();
        let report = host.swap(slot, path.as_path()).await.unwrap();
        assert_eq!((report.chats, report.cases.map(|cases| cases.passed())), (2, Some(1)));
        assert!(matches!(events.try_next(), Some(SlotEvent::Swapped { .. })));
        let error = says(&chats[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
        let Some(SlotEvent::TurnedBack { slot: turned, from, to, everywhere: true, error: why }) = events.try_next()
        else {
            panic!("it goes back")
        };
        assert_eq!((turned, from.as_str(), to.as_str(), why.kind()), (slot, "unsound", before, error.kind()));
        assert!(error.to_string().ends_with(&why.to_string()), "{error}");
        assert_eq!(chats[0].messages().len(), 2, "the turn that failed leaves nothing");

        // Whoever met it and whoever did not, and chats to come.
        let later = model.chat().build().await.unwrap();
        for chat in chats.iter().chain([&later]) {
            assert_eq!(chat.settings()[slot.as_str()], json!(before));
            assert_eq!(says(chat).await.unwrap(), "Hello.");
        }
        assert_eq!(events.try_next(), None);
    }
}

#[tokio::test]
async fn an_unsound_template_or_sampler_of_one_chat_goes_back_there() {
    for (slot, (_folder, path)) in [(Slot::Template, template()), (Slot::Sampler, sampler())] {
        let folders = Folders::new();
        let host = folders.host(hello());
        let model = host.load(&folders.model()).await.unwrap();
        let (chat, other) = (model.chat().build().await.unwrap(), model.chat().build().await.unwrap());
        let known = told(chat.send("Hi").await.unwrap()).await.unwrap().report.usage;
        let name = chat.settings()[slot.as_str()].clone();
        let mut events = host.slot_events();
        chat.swap_with(slot, path.as_path(), SwapOptions::new()).await.unwrap();
        assert_eq!(says(&other).await.unwrap(), "Hello.");
        assert_eq!(says(&chat).await.unwrap_err().kind(), ErrorKind::ComponentFailed);
        let told_of = std::iter::from_fn(|| events.try_next()).last();
        assert!(matches!(told_of, Some(SlotEvent::TurnedBack { everywhere: false, .. })), "{told_of:?}");
        assert_eq!(chat.settings()[slot.as_str()], name);
        let again = told(chat.send("Hi").await.unwrap()).await.unwrap();
        assert_eq!(again.content, "Hello.");
        if slot == Slot::Sampler {
            // The prompt of the turn that failed was the same, and stays read.
            assert!(again.report.usage.cached_tokens > known.prompt_tokens, "{:?}", again.report.usage);
        }
    }
}

/// A chat that counts its answers, and traps at one of them; 0 is none.
fn counting(traps_at: u32) -> ComponentRef {
    let module = Guest { operations: traps_at, ..GOOD }.module("counting-chat");
    let bytes = component(&module, "chat-component", "0.1.0");
    ComponentRef::Bytes { name: format!("counting-{traps_at}"), bytes: bytes.into() }
}

#[tokio::test]
async fn a_chat_goes_back_to_what_it_had_saved_before_the_swap() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    host.swap(Slot::Chat, counting(0)).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    // The number of the answer, and of the messages that there are then.
    for answer in ["11", "23"] {
        assert_eq!(says(&chat).await.unwrap(), answer);
    }
    host.swap(Slot::Chat, counting(4)).await.unwrap();
    assert_eq!(says(&chat).await.unwrap(), "35", "it goes on from what the one before saved");
    let mut events = host.slot_events();
    assert_eq!(says(&chat).await.unwrap_err().kind(), ErrorKind::ComponentFailed);
    let Some(SlotEvent::TurnedBack { from, to, everywhere: true, .. }) = events.try_next() else {
        panic!("it goes back")
    };
    assert_eq!((from.as_str(), to.as_str()), ("counting-4", "counting-0"));
    // Its state is that from before the swap; the log has what was said since, and nothing of the turn that failed.
    assert_eq!(says(&chat).await.unwrap(), "37");
    assert_eq!(says(&chat).await.unwrap(), "49", "and goes on from there");
}

#[tokio::test]
async fn a_chat_that_has_passed_its_trial_stays() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    host.swap(Slot::Chat, counting(4)).await.unwrap();
    for answer in ["11", "23", "35"] {
        assert_eq!(says(&chat).await.unwrap(), answer);
    }
    let mut events = host.slot_events();
    // From its last save it comes to the same answer each time: nobody puts another in its place.
    for _ in 0..2 {
        assert_eq!(says(&chat).await.unwrap_err().kind(), ErrorKind::ComponentFailed);
    }
    assert_eq!(events.try_next(), None);
    assert_eq!(chat.settings()["chat"], json!("counting-4"));
}
