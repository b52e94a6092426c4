//! Swaps of the host's slots while several chats talk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use wasmlx::backend::fake::{FakeScript, Gate};
use wasmlx::{Chat, ComponentRef, ErrorKind, Event, Model, Slot, SlotEvent, SwapOptions};

use crate::support::{Folders, answers, told};
use crate::trapping::trapping;

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
    let host = folders.host(hello().hold_pass(4, &gate));
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
    assert!(error.hint().is_some_and(|hint| hint.contains("force the swap (`--force`)")), "{error:?}");
    for part in ["policy fails 1 of its own 1 cases", "plans.json: cold", "expected:\n    no plan", "got:\n    "] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let forced = host.swap_with(Slot::Sampler, folder.path(), SwapOptions::new().force(true)).await.unwrap();
    assert_eq!(forced.cases, None);
    write(case(json!([{"temperature": 0}])));
    let report = host.swap(Slot::Sampler, folder.path()).await.unwrap();
    assert_eq!(report.cases.map(|cases| (cases.passed(), cases.failed())), Some((1, 0)));
}

/// Chats that talk all the time.
const TALKING: usize = 8;

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<usize>().ok()? * 4096)
}

/// What of this process only grows where something is kept that nobody uses: pieces of compiled code, which are
/// executable memory that is no file's, and open files. None where the system does not tell.
fn held() -> Option<[usize; 2]> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let code = maps.lines().filter(|line| line.contains(" r-xp ") && !line.contains(['/', '[']));
    Some([code.count(), fs::read_dir("/proc/self/fd").ok()?.count()])
}

/// Turns of one chat until there have been enough swaps: for each turn how many swaps there had been, and how long it
/// took until its first event.
async fn talk(chat: Chat, swapped: Arc<AtomicUsize>, swaps: usize) -> Vec<(usize, Duration)> {
    let mut turns = Vec::new();
    while swapped.load(Ordering::Acquire) < swaps {
        let before = swapped.load(Ordering::Acquire);
        let started = Instant::now();
        let mut turn = chat.send("Hi").await.expect("one turn at a time");
        let first = turn.next().await.expect("an event").expect("no failure");
        turns.push((before, started.elapsed()));
        let Event::Content(first) = first else { panic!("{first:?}") };
        assert_eq!(first + &told(turn).await.expect("no turn fails").content, "Hello.");
        assert_eq!(chat.messages().len() % 2, 0);
        if chat.messages().len() >= 8 {
            assert!(chat.messages().iter().step_by(2).all(|message| message.role == "user"), "nothing lost or twice");
            chat.clear().await.expect("no turn runs");
        }
    }
    turns
}

fn quantile(sorted: &[Duration], of_hundred: usize) -> Duration {
    sorted.get((sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Swap after swap of every slot under the load of eight chats: no turn fails, nothing is lost, memory does not grow.
async fn swap_under_load(swaps: usize) {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let mut events = host.slot_events();
    let swapped = Arc::new(AtomicUsize::new(0));
    let talking: Vec<_> = chats(&model, TALKING)
        .await
        .into_iter()
        .map(|chat| tokio::spawn(talk(chat, Arc::clone(&swapped), swaps)))
        .collect();
    let plan = [
        (Slot::Template, "jinja"),
        (Slot::Sampler, "classic"),
        (Slot::Chat, "chat"),
        (Slot::Sampler, "default-policy"),
    ];
    let mut early = None;
    for number in 0..swaps {
        let (slot, component) = plan[number % plan.len()];
        let report = host.swap(slot, component).await.unwrap();
        assert_eq!((report.chats, report.declined.len()), (TALKING, 0), "{report:?}");
        swapped.fetch_add(1, Ordering::Release);
        if number == swaps / 4 {
            early = resident().zip(held());
        }
    }
    let (mut moving, mut resting) = (Vec::new(), Vec::new());
    for talking in talking {
        let mut last = 0;
        for (swaps, took) in talking.await.unwrap() {
            if swaps > last { &mut moving } else { &mut resting }.push(took);
            last = swaps;
        }
    }
    while let Some(event) = events.try_next() {
        assert!(matches!(event, SlotEvent::Swapped { .. }), "{event:?}");
    }
    moving.sort();
    resting.sort();
    for (what, times) in [("after a swap", &moving), ("else", &resting)] {
        let [median, late] = [50, 99].map(|part| quantile(times, part));
        println!("first event {what}: median {median:?}, 99th percentile {late:?}, of {} turns", times.len());
    }
    if let (Some((early, early_held)), Some((late, late_held))) = (early, resident().zip(held())) {
        println!("resident: {} KiB after a quarter of {swaps} swaps, {} KiB at the end", early >> 10, late >> 10);
        println!("pieces of compiled code, and open files: {early_held:?}, then {late_held:?}");
        // A chat may hold two of a slot while it moves; what each swap left behind would be hundreds in a soak.
        for (early, late) in early_held.into_iter().zip(late_held) {
            assert!(late <= early + 8 * TALKING, "swaps leave something behind: {early_held:?}, then {late_held:?}");
        }
        // Threads that come and go leave the allocator's arenas in pieces: 20 MiB in 2,000 swaps, and 1 MiB with
        // MALLOC_ARENA_MAX=1. The smallest component that stayed at each swap would take more than the bound.
        assert!(late < early + (64 << 20), "memory grows with swaps: {early} bytes, then {late}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dozen_swaps_under_load() {
    swap_under_load(24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a soak of minutes"]
async fn a_thousand_swaps_under_load() {
    swap_under_load(1000).await;
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Turn,
    Dropped,
    Cancelled,
    Retry,
    Swap(Slot, &'static str),
    /// A chat component that traps in all it does.
    SwapTrap,
}

/// What may happen, some of it more often.
const STEPS: [Step; 13] = [
    Step::Turn,
    Step::Turn,
    Step::Turn,
    Step::Turn,
    Step::Dropped,
    Step::Cancelled,
    Step::Retry,
    Step::Swap(Slot::Template, "jinja"),
    Step::Swap(Slot::Sampler, "classic"),
    Step::Swap(Slot::Sampler, "default-policy"),
    Step::Swap(Slot::Chat, "chat"),
    Step::Swap(Slot::Chat, "chat"),
    Step::SwapTrap,
];

/// So many of them, drawn by a linear congruential generator (Knuth's MMIX).
fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut state = seed;
    let draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        STEPS[(state >> 33) as usize % STEPS.len()]
    };
    std::iter::repeat_with(draw).take(count).collect()
}

/// Takes the steps; after each the chat has the answers that it gave, and no message besides.
async fn walk(steps: &[Step]) {
    let folders = Folders::new();
    let host = folders.host(hello());
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut answers: Vec<String> = Vec::new();
    for step in steps {
        match step {
            Step::Turn => answers.push(told(chat.send("Hi").await.unwrap()).await.unwrap().content),
            Step::Dropped => {
                let mut turn = chat.send("Hi").await.unwrap();
                turn.next().await.unwrap().unwrap();
                drop(turn);
                // Waits until nothing is left of it.
                chat.set_system(None).await.unwrap();
            }
            Step::Cancelled => {
                let turn = chat.send("Hi").await.unwrap();
                turn.cancel();
                // It may have been before anything was said.
                match told(turn).await {
                    Ok(told) => answers.push(told.content),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
                }
            }
            Step::Retry if answers.is_empty() => {}
            Step::Retry => {
                answers.pop();
                answers.push(told(chat.retry().await.unwrap()).await.unwrap().content);
            }
            Step::Swap(slot, component) => {
                host.swap(*slot, *component).await.unwrap();
            }
            Step::SwapTrap => {
                assert_eq!(host.swap(Slot::Chat, trap("chat-component")).await.unwrap().declined.len(), 1);
            }
        }
        let said: Vec<String> = chat.messages().iter().skip(1).step_by(2).map(wasmlx::Message::text).collect();
        assert_eq!((said, chat.messages().len()), (answers.clone(), 2 * answers.len()), "after {step:?}");
    }
    // Whatever was swapped, the chat goes on.
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn no_message_is_lost_or_twice() {
    for seed in 0..12 {
        let steps = steps(seed, 12);
        println!("seed {seed}: {steps:?}");
        walk(&steps).await;
    }
}
