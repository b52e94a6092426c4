//! Swaps of the host's slots while several chats talk.

use std::fs;
use std::path::Path;

use serde_json::json;
use wasmlx::backend::fake::{FakeScript, Gate};
use wasmlx::{Chat, ComponentRef, ErrorKind, Event, Model, Slot, SlotEvent, SwapOptions};

use crate::components::trapping;
use crate::support::{Folders, answers, told};

fn trap(world: &str) -> ComponentRef {
    ComponentRef::Bytes { name: "trap".to_owned(), bytes: trapping(world).into() }
}

async fn chats(model: &Model, count: usize) -> Vec<Chat> {
    let mut chats = Vec::new();
    for _ in 0..count {
        chats.push(model.chat().build().await.unwrap());
    }
    chats
}

fn hello() -> FakeScript {
    answers(&[("Hi", "Hello.")])
}

#[tokio::test]
async fn one_swap_moves_every_chat_of_a_host() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let following = chats(&model, 3).await;
    let own = model.chat().sampler("mirostat").build().await.unwrap();
    let mut events = host.slot_events();
    let report = host.swap(Slot::Sampler, "classic").await.unwrap();
    assert_eq!((report.component.as_str(), report.chats, report.declined.len()), ("classic", 3, 0));
    let swapped = SlotEvent::Swapped { slot: Slot::Sampler, from: "default-policy".into(), to: "classic".into() };
    assert_eq!(events.try_next(), Some(swapped));
    for chat in &following {
        let report = told(chat.send("Hi").await.unwrap()).await.unwrap().report;
        assert_eq!(report.cost.boundary_calls, report.usage.completion_tokens as u64);
    }
    // A chat to come takes it too; one with a component of its own keeps that.
    let later = model.chat().build().await.unwrap();
    assert_eq!((&later.settings()["sampler"], &own.settings()["sampler"]), (&json!("classic"), &json!("mirostat")));
    host.swap(Slot::Template, "jinja").await.unwrap();
    host.swap(Slot::Chat, "chat").await.unwrap();
    assert_eq!(told(later.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn a_turn_that_runs_ends_with_what_it_began_with() {
    let folders = Folders::new();
    let gate = Gate::new();
    let host = folders.host(hello().hold_pass(3, &gate));
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut turn = chat.send("Hi").await.unwrap();
    assert!(matches!(turn.next().await, Some(Ok(Event::Content(_)))));
    // None of them waits for the turn.
    for (slot, component) in [(Slot::Template, "chatml"), (Slot::Sampler, "classic"), (Slot::Chat, "chat")] {
        assert_eq!(host.swap(slot, component).await.unwrap().chats, 1);
    }
    gate.open();
    let told = told(turn).await.unwrap();
    assert!("Hello.".ends_with(&told.content), "{}", told.content);
    assert_eq!(told.report.cost.boundary_calls, 0, "the sampler is the one that it began with");
}

#[tokio::test]
async fn what_was_read_stays_read_over_swaps() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut known = told(chat.send("Hi").await.unwrap()).await.unwrap().report.usage;
    for (slot, component) in [(Slot::Template, "jinja"), (Slot::Chat, "chat"), (Slot::Sampler, "classic")] {
        host.swap(slot, component).await.unwrap();
        let usage = told(chat.send("Hi").await.unwrap()).await.unwrap().report.usage;
        // All but the newest message, its answer's tokens as they were generated.
        let read = known.prompt_tokens + "Hello.".len();
        assert!(usage.cached_tokens >= read, "after {component} in {slot}: {usage:?}, {read} were read");
        known = usage;
    }
}

#[tokio::test]
async fn a_component_that_no_chat_can_take_is_refused() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    for (slot, world) in [(Slot::Template, "prompt-template"), (Slot::Sampler, "sampling-policy")] {
        let error = host.swap(slot, trap(world)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
    }
    assert_eq!(host.swap(Slot::Chat, "classic").await.unwrap_err().kind(), ErrorKind::InvalidComponent);
    // A chat component shows only where it runs: the chat stays with the old one, and that is told.
    let mut events = host.slot_events();
    let report = host.swap(Slot::Chat, trap("chat-component")).await.unwrap();
    assert_eq!((report.chats, report.declined.len()), (0, 1), "{report:?}");
    events.try_next().expect("it is swapped");
    assert!(matches!(events.try_next(), Some(SlotEvent::Declined { slot: Slot::Chat, .. })));
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
    assert_eq!(events.try_next(), None, "it is not tried again");
}

#[tokio::test]
async fn a_component_that_breaks_down_in_its_first_turns_goes_back() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    // Nobody is there who could decline it, so the first turn of a chat to come finds out.
    host.swap(Slot::Chat, trap("chat-component")).await.unwrap();
    let mut events = host.slot_events();
    let chats = chats(&model, 2).await;
    let error = told(chats[0].send("Hi").await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ComponentFailed, "{error}");
    let Some(SlotEvent::TurnedBack { slot: Slot::Chat, from, to, everywhere: true, error: told_error }) =
        events.try_next()
    else {
        panic!("it is told")
    };
    assert_eq!((from.as_str(), to.as_str(), told_error), ("trap", "chat", error));
    assert!(chats[0].messages().is_empty(), "a failed turn leaves nothing");
    for chat in &chats {
        assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
    }
    // Without a trial it stays, and fails again.
    host.swap_with(Slot::Chat, trap("chat-component"), SwapOptions::new().trial_turns(0)).await.unwrap();
    let late = model.chat().build().await.unwrap();
    for _ in 0..2 {
        assert!(told(late.send("Hi").await.unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn its_own_cases_are_run_first() {
    let folders = Folders::new();
    let host = folders.host(hello());
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("components/default-policy.wasm");
    fs::copy(built, folder.path().join("policy.wasm")).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    let case =
        |plan: serde_json::Value| json!([{"name": "cold", "params": {"temperature": 0, "top_p": 1}, "plan": plan}]);
    let write =
        |cases: serde_json::Value| fs::write(folder.path().join("cases/plans.json"), cases.to_string()).unwrap();
    write(case(json!(null)));
    let error = host.swap(Slot::Sampler, folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CasesFailed);
    for part in ["policy fails 1 of its own 1 cases", "plans.json: cold", "expected:\n    no plan", "got:\n    "] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let forced = host.swap_with(Slot::Sampler, folder.path(), SwapOptions::new().force(true)).await.unwrap();
    assert_eq!(forced.cases, None);
    write(case(json!([{"temperature": 0}])));
    let report = host.swap(Slot::Sampler, folder.path()).await.unwrap();
    assert_eq!(report.cases.map(|cases| (cases.passed(), cases.failed())), Some((1, 0)));
}
