//! Guests that return, and lie, hoard or never come to an end: what is in `tests/hostile/attacks/`.

use std::time::Duration;

use wasmlx_backend::fake::{FakeScript, Gate, tokenizer_json};
use wasmlx_components::{
    AnswerContext, ChatComponent, ChatEvent, ChatSession, Component, ComponentError, ComponentErrorKind, Conversation,
    Limits, Message, MessageLog, PolicyComponent, Runtime, Template, Vocabulary,
};
use wasmlx_engine::{EngineError, Event, FinishReason, GenerateRequest, PolicyError, PolicyErrorKind, Sampling};
use wasmlx_text::{Segment, Tokenizer};

#[cfg(feature = "agents")]
use crate::agents;
use crate::chats::{self, TestHost};
use crate::guests::{Attack, GOOD, Guest, component, runtime, runtime_with};
use crate::others::Others;
use crate::policies::{INFO, logits, vocabulary};
use crate::shipped;

use ComponentErrorKind as Kind;

fn guest(name: &'static str) -> Guest {
    Guest { special: Some(name), max_backtrack: 1, ..GOOD }
}

/// A policy's error as that of a component.
pub(crate) fn of_policy(error: PolicyError) -> ComponentError {
    let kind = match error.kind {
        PolicyErrorKind::Trapped => Kind::Trapped,
        PolicyErrorKind::Deadline => Kind::Deadline,
        PolicyErrorKind::OutOfMemory => Kind::OutOfMemory,
        _ => Kind::InvalidInput,
    };
    ComponentError::new(kind, error.component, error.message)
}

/// Has each guest of a table attack.
fn attack_all(
    title: &'static str,
    table: &[(&'static str, Kind, &str)],
    load: impl Fn(Guest) -> Component,
    run: impl Fn(&Component) -> Result<(), ComponentError>,
) {
    let mut others = Others::new(title);
    for &(name, kind, sentence) in table {
        let component = load(guest(name));
        let error = others.attacked(name, || run(&component)).expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.message().contains(sentence), "{name}: {error}");
    }
}

#[test]
fn templates_that_lie() {
    let table = [
        ("claims-segments", Kind::Trapped, "`render` trapped: "),
        ("claims-outputs", Kind::Trapped, "`parser.push` trapped: "),
        ("repeats-a-megabyte", Kind::Trapped, "too much data"),
        ("invalid-utf8-prompt", Kind::Trapped, "invalid utf-8"),
        ("half-a-million-stops", Kind::InvalidInput, "500000 stop strings"),
        ("makes-handles", Kind::Trapped, "handle limit"),
        ("grows-its-table", Kind::Trapped, "`configure` trapped: "),
    ];
    attack_all("templates that lie", &table, Guest::template, |component| {
        let template = Template::new(component, "{}")?;
        template.render(&Conversation::default())?;
        template.stops()?;
        template.parser(&AnswerContext::default())?.push("hello").map(drop)
    });
}

#[test]
fn policies_that_lie() {
    let table = [
        ("uses-a-dropped-handle", Kind::Trapped, "`policy.step` trapped: "),
        ("claims-tokens", Kind::Trapped, "`policy.step` trapped: "),
        ("claims-a-state", Kind::Trapped, "`policy.save` trapped: "),
        ("invalid-utf8-error", Kind::Trapped, "invalid utf-8"),
        ("logs-without-end", Kind::Deadline, "`policy.step` was stopped"),
        ("sorts-without-end", Kind::InvalidInput, "a step may do 256 operations"),
        ("reads-without-end", Kind::InvalidInput, "a step may read logits, or constrain them, 16 times"),
        ("lists-without-end", Kind::InvalidInput, "the lists of a step may have 4160 tokens together"),
        ("biases-a-million", Kind::InvalidInput, "more tokens than the vocabulary has"),
        ("forges-an-error", Kind::InvalidInput, "hi\\r\\u{1b}[2J\n  host ok!"),
    ];
    attack_all("policies that lie", &table, Guest::policy, |component| {
        let component = PolicyComponent::new(component)?;
        component.plan("{}", &vocabulary())?;
        let mut policy = component.instantiate("{}", None, &vocabulary())?;
        policy.step(&INFO, logits()).map_err(of_policy)?;
        policy.save().map(drop).map_err(of_policy)
    });
}

#[test]
fn chats_that_lie() {
    let table = [
        ("uses-a-dropped-context", Kind::Trapped, "`conversation.send` trapped: "),
        ("claims-events", Kind::Trapped, "`turn.next-batch` trapped: "),
        ("invalid-utf8-event", Kind::Trapped, "invalid utf-8"),
        ("hoards-contexts", Kind::OutOfMemory, "64 contexts and generations"),
        ("hoards-tokens", Kind::OutOfMemory, "come to hold 20064 tokens, the most is 16384"),
        ("hoards-answers", Kind::OutOfMemory, "come to hold 20010 tokens, the most is 16384"),
        ("hoards-by-truncating", Kind::OutOfMemory, "come to hold 20001 tokens, the most is 16384"),
        ("says-megabytes", Kind::OutOfMemory, "events of its turn have more than 64 MiB"),
        ("appends-in-open", Kind::Denied, "in a turn alone"),
        ("generates-in-open", Kind::Denied, "in a turn alone"),
        ("calls-tools-in-open", Kind::Denied, "call tools in a turn alone"),
        ("appends-without-end", Kind::OutOfMemory, "more than 1024 messages"),
        ("appends-megabytes", Kind::OutOfMemory, "more than 32 MiB"),
        ("logs-without-end-in-a-chat", Kind::Deadline, "30 ms of its own compute"),
        ("renders-megabytes", Kind::ContextFull, "the conversation has 5243144 bytes, and the most at once is 4 MiB"),
        ("renders-megabytes-of-json", Kind::InvalidInput, "the conversation has 2621440 bytes; the most is 2 MiB"),
        ("prompts-megabytes", Kind::ContextFull, "the text has 5242880 bytes, and the most at once is 4 MiB"),
        ("encodes-megabytes", Kind::ContextFull, "the text has 5242880 bytes, and the most at once is 4 MiB"),
        ("decodes-without-end", Kind::InvalidInput, "5000 tokens are more than a text of fake may have (4096)"),
        ("calls-with-megabytes", Kind::InvalidInput, "the arguments has 3145728 bytes; the most is 2 MiB"),
    ];
    attack_all("chats that lie", &table, Guest::chat, |component| chats::one_turn(component, None));
}

#[test]
fn a_step_spells_few_tokens() {
    let component = PolicyComponent::new(&guest("spells-without-end").policy()).unwrap();
    let mut others = Others::new("a step that spells");
    let attack = || {
        let mut policy = component.instantiate("{}", None, &with_tokenizer())?;
        policy.step(&INFO, logits()).map(drop).map_err(of_policy)
    };
    let error = others.attacked("spells-without-end", attack).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput, "{error}");
    assert!(error.message().contains("the bytes of 4096 tokens"), "{error}");
}

#[test]
fn a_step_constrains_few_times() {
    let component = PolicyComponent::new(&guest("constrains-without-end").policy()).unwrap();
    let mut others = Others::new("a step that constrains");
    let attack = || {
        let mut policy = component.instantiate("{}", None, &with_tokenizer())?;
        policy.step(&INFO, logits()).map(drop).map_err(of_policy)
    };
    let error = others.attacked("constrains-without-end", attack).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput, "{error}");
    assert!(error.message().contains("constrain them, 16 times"), "{error}");
}

fn with_tokenizer() -> Vocabulary {
    let tokenizer = Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap();
    Vocabulary { tokenizer: Some(tokenizer), ..vocabulary() }
}

#[test]
fn answers_that_are_dropped_count_until_the_device_has_ended_them() {
    let component = guest("drops-answers").chat();
    let (tokio, gate) = (chats::tokio(), Gate::new());
    let host = TestHost::new(&tokio, FakeScript::new().hold_pass(0, &gate), GOOD.template());
    let session = chats::session(&tokio, &component, None, std::sync::Arc::new(host));
    let error = chats::events(&session, "hello").unwrap_err();
    gate.open();
    assert_eq!(error.kind(), Kind::OutOfMemory, "{error}");
    assert!(error.message().contains("64 contexts and generations"), "{error}");
}

#[test]
fn what_is_read_for_an_answer_that_is_dropped_is_paid_for() {
    let component = guest("reads-for-nothing").chat();
    chats::one_turn(&component, None).unwrap();
    let tokio = chats::tokio();
    let host = TestHost::new(&tokio, FakeScript::new(), GOOD.template()).granting("tokens=1000");
    let session = chats::session(&tokio, &component, None, std::sync::Arc::new(host));
    let error = chats::events(&session, "hello").unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.message().contains("the 1000 tokens a minute that the session may use are spent"), "{error}");
}

#[cfg(feature = "agents")]
#[test]
fn agents_that_write_unasked() {
    let table = [
        ("writes-unasked", Kind::Trapped, "`run` trapped: it wrote 100000 bytes where `check-write` permits 65536"),
        ("logs-unasked", Kind::Trapped, "`run` trapped: it wrote 100000 bytes where `check-write` permits 2048"),
    ];
    attack_all("agents that write unasked", &table, Guest::agent, agents::run);
}

/// What a policy makes of an answer of at most 32 tokens.
fn generate(policy: &PolicyComponent) -> Result<(usize, FinishReason), ComponentError> {
    let model = shipped::model();
    let mut context = model.new_context();
    context.prompt(&[Segment::Trusted("Once".into())])?;
    let sampling = Sampling::Policy(policy.instantiate("{}", None, &vocabulary())?);
    let request = GenerateRequest { sampling, max_tokens: 32, ..GenerateRequest::default() };
    let mut generation = context.generate(request)?;
    let events: Result<Vec<Event>, EngineError> = std::iter::from_fn(|| generation.blocking_next()).collect();
    match events?.pop() {
        Some(Event::Finished(finished)) => Ok((finished.tokens.len(), finished.reason)),
        _ => panic!("a generation ends with its reason"),
    }
}

#[test]
fn policies_that_never_end() {
    let mut others = Others::new("policies that never end");
    let policy = |name| PolicyComponent::new(&guest(name).policy()).unwrap();
    let forces = policy("forces-for-ever");
    let forced = others.attacked("forces-for-ever", || generate(&forces)).unwrap();
    assert_eq!(forced, (32, FinishReason::Length));
    for (name, sentence) in [("forces-nothing", "an empty list"), ("backtracks-for-ever", "backtracks without end")] {
        let policy = policy(name);
        let error = others.attacked(name, || generate(&policy)).unwrap_err();
        assert_eq!(error.kind(), Kind::PolicyFailed, "{name}: {error}");
        assert!(error.message().contains(sentence), "{name}: {error}");
    }
}

#[test]
fn the_steps_of_a_request_have_a_budget_together() {
    let limit = Duration::from_millis(10);
    let runtime = runtime_with(Limits { policy_request: limit, ..Limits::default() });
    let component = guest("computes-all-the-while").load_on(&runtime, "policy", "sampling-policy");
    let component = PolicyComponent::new(&component).unwrap();
    let mut policy = component.instantiate("{}", None, &vocabulary()).unwrap();
    let steps = (0..100_000).find_map(|_| policy.step(&INFO, logits()).err());
    let error = of_policy(steps.expect("the budget is spent some time"));
    assert_eq!(error.kind(), Kind::Deadline, "{error}");
    assert!(error.message().contains("in this request"), "{error}");
    // It is that request's, no other's.
    component.instantiate("{}", None, &vocabulary()).unwrap().step(&INFO, logits()).map(drop).unwrap();
}

#[test]
fn a_chat_that_only_calls_the_host_spends_its_session() {
    let limit = Duration::from_millis(50);
    let runtime = runtime_with(Limits { chat_session: limit, ..Limits::default() });
    let component = guest("calls-without-end").load_on(&runtime, "chat", "chat-component");
    let mut others = Others::new("a chat that only calls the host");
    let error = others.attacked("calls-without-end", || chats::one_turn(&component, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Deadline, "{error}");
    assert!(error.message().contains("session"), "{error}");
}

#[test]
fn a_chat_whose_grammars_are_dear_spends_its_session() {
    let limit = Duration::from_millis(300);
    let runtime = runtime_with(Limits { chat_session: limit, ..Limits::default() });
    let component = guest("compiles-without-end").load_on(&runtime, "chat", "chat-component");
    let mut others = Others::new("a chat whose grammars are dear");
    let error = others.attacked("compiles-without-end", || chats::one_turn(&component, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Deadline, "{error}");
    assert!(error.message().contains("session"), "{error}");
}

#[test]
fn a_chat_that_cannot_begin_spends_its_session() {
    let limits =
        Limits { chat_slice: Duration::from_millis(10), chat_session: Duration::from_millis(30), ..Limits::default() };
    let component =
        Guest { place: 1, attack: Attack::Loop, ..GOOD }.load_on(&runtime_with(limits), "chat", "chat-component");
    let tokio = chats::tokio();
    let host = std::sync::Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
    let session = chats::session(&tokio, &component, None, host);
    let errors: Vec<String> = (0..8).map(|_| chats::events(&session, "hello").unwrap_err().to_string()).collect();
    assert!(errors[0].contains("without a call of the host"), "{errors:#?}");
    assert!(errors[7].contains("the session has spent"), "what it computed in vain is counted: {errors:#?}");
}

#[test]
fn a_conversation_has_a_most() {
    let component = guest("appends-without-end").chat();
    let tokio = chats::tokio();
    let host = std::sync::Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
    for (log, sentence) in [
        (vec![Message::user("x".repeat(64 << 20))], "2 messages of 64 MiB"),
        (vec![Message::user(""); 65_535], "65536 messages of"),
    ] {
        let log = MessageLog::new(log);
        let session = ChatSession::resume(
            tokio.handle(),
            ChatComponent::new(&component).unwrap(),
            "{}".into(),
            None,
            log.clone(),
            host.clone(),
        );
        let before = log.len();
        let error = chats::events(&session, "").unwrap_err();
        assert_eq!(error.kind(), Kind::OutOfMemory, "{error}");
        assert!(error.message().contains(sentence), "{error}");
        assert_eq!(log.len(), before, "a failed turn leaves no message");
    }
}

#[test]
fn a_chat_that_never_reads_its_answer_ends_its_turn() {
    let component = guest("never-reads").chat();
    let mut others = Others::new("a chat that never reads");
    others.attacked("never-reads", || chats::one_turn(&component, None)).unwrap();
}

#[test]
fn a_chat_that_streams_for_ever_ends_where_it_is_cancelled() {
    let component = guest("streams-for-ever").chat();
    let mut others = Others::new("a chat that streams for ever");
    let attack = || {
        let tokio = chats::tokio();
        let host = std::sync::Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
        let session = chats::session(&tokio, &component, None, host);
        let mut turn = session.send(Vec::new());
        assert!(matches!(turn.blocking_next(), Some(Ok(ChatEvent::Content(_)))));
        turn.cancel();
        let end = std::iter::from_fn(|| turn.blocking_next()).last().expect("an end");
        assert!(session.log().is_empty());
        end
    };
    let error = others.attacked("streams-for-ever", attack).unwrap_err();
    assert!(matches!(error.kind(), Kind::Cancelled | Kind::Deadline), "{error}");
}

#[test]
fn a_template_that_names_a_control_token_that_the_model_lacks_fails_the_turn() {
    let template = guest("unknown-control").template();
    let mut others = Others::new("an unknown control token");
    let attack = || {
        let tokio = chats::tokio();
        let host = std::sync::Arc::new(TestHost::new(&tokio, FakeScript::new(), template.clone()));
        let session = chats::session(&tokio, &runtime().builtin("chat").unwrap(), None, host);
        chats::events(&session, "hello")
    };
    let error = others.attacked("unknown-control", attack).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput, "{error}");
    assert!(error.message().contains("ok"), "the token is named: {error}");
}

#[test]
fn what_cannot_run_is_refused_before_it_does() {
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let policy = |module: &str, version: &str| component(module, "sampling-policy", version);
    let exporting = |name: &str| format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
    let importing = r#"(component (import "wasi:filesystem/types@0.2.0" (instance)) (instance $i)
        (export "wasmlx:runner/policy@0.1.0" (instance $i)))"#;
    let parts = "(core instance (instantiate $m)) ".repeat(100);
    let greedy = format!(
        r#"(component (core module $m (memory 1)) {parts}
            (instance $i) (export "wasmlx:runner/template@0.1.0" (instance $i)))"#
    );
    let mut others = Others::new("what cannot run");
    for (name, bytes, kind) in [
        ("a version from the future", policy(&GOOD.module("policy"), "0.2.0"), Kind::UnsupportedVersion),
        ("a missing export", wat(&exporting("wasmlx:runner/nothing@0.1.0")), Kind::MissingExport),
        ("an export with nothing in it", wat(&exporting("wasmlx:runner/template@0.1.0")), Kind::MissingExport),
        ("an import that is not granted", wat(importing), Kind::ImportDenied),
        ("a hundred memories", wat(&greedy), Kind::NotAComponent),
        ("no WebAssembly", b"\x7fELF".to_vec(), Kind::NotAComponent),
        ("a core module", wat(&GOOD.module("policy")), Kind::NotAComponent),
    ] {
        let error = others.attacked(name, || runtime().load("refused", &bytes)).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
}

#[test]
fn a_full_house_is_a_typed_error_and_a_place_is_free_again() {
    let runtime = runtime_with(Limits { instances: 2, ..Limits::default() });
    let template = |runtime: &Runtime| Template::new(&GOOD.load_on(runtime, "template", "prompt-template"), "{}");
    let (first, second) = (template(&runtime).unwrap(), template(&runtime).unwrap());
    let error = template(&runtime).err().unwrap();
    assert_eq!((error.kind(), error.component()), (Kind::OutOfMemory, "template"), "{error}");
    assert!(error.message().contains("no place for another instance"), "{error}");
    drop(first);
    let third = template(&runtime).unwrap();
    for template in [second, third] {
        template.stops().unwrap();
    }
    // Chats have places of their own.
    chats::one_turn(&GOOD.load_on(&runtime, "chat", "chat-component"), None).unwrap();
}
