//! Chat sessions over an engine with a fake device.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime as Tokio;
use wasmlx_backend::Backend;
use wasmlx_backend::fake::{END, FakeBackend, FakeScript, Gate, VOCABULARY_SIZE, tokenizer_json};
use wasmlx_components::{
    BoxFuture, ChatComponent, ChatEvent, ChatHost, ChatSeat, ChatSession, Component, ComponentError,
    ComponentErrorKind, FinishReason, GenerateOptions, Grants, Manifest, Message, MessageLog, OfferedTool,
    PolicyComponent, Slot, TemplateSetup, Tool, TurnEnd,
};
use wasmlx_engine::{Chain, Engine, Event, GenerateRequest, LoadRequest, Model, Patience, Sampling, SavedState};
use wasmlx_text::{Grammar, Tokenizer};

use crate::guests::{Attack, GOOD, Guest, component, runtime};
use crate::policies::vocabulary;

/// For the jinja component: roles and texts, and an open answer at the end. It knows the tags of tool calls.
const TEMPLATE: &str = r#"{"chat_template": "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.tool_calls %}<tool_call>{% endif %}\n{% endfor %}assistant: "}"#;

/// A model that gives these answers, one after another, to prompts of that template.
fn answers(answers: &'static [&'static str]) -> FakeScript {
    FakeScript::new().scores(|tokens| {
        let bytes: Vec<u8> = tokens.iter().filter_map(|&token| u8::try_from(token).ok()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let (before, answered) = text.rsplit_once("assistant: ").unwrap_or_default();
        let answer = answers[before.matches("assistant: ").count()];
        let next = answer.as_bytes().get(answered.len()).map_or(END, |&byte| byte.into());
        (0..VOCABULARY_SIZE).map(|token| if token == next { 9.0 } else { 0.0 }).collect()
    })
}

/// What a session is given in these tests.
pub(crate) struct TestHost {
    model: Model,
    template: Slot<TemplateSetup>,
    sampler: Option<PolicyComponent>,
    chat: Mutex<Option<ChatSeat>>,
    ends: Mutex<Vec<TurnEnd>>,
    tools: Vec<OfferedTool>,
    grants: Grants,
    observed: Mutex<Vec<Event>>,
}

impl TestHost {
    /// A model that follows the script, and a template.
    pub(crate) fn new(tokio: &Tokio, script: FakeScript, template: Component) -> Self {
        let backend = FakeBackend::new(script);
        Self::with_engine(tokio, &Engine::start(move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap(), template)
    }

    fn with_engine(tokio: &Tokio, engine: &Engine, template: Component) -> Self {
        let tokenizer = Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap();
        let request = LoadRequest { tokenizer: Some(tokenizer), ..LoadRequest::new("fake", "models/fake") };
        Self {
            model: tokio.block_on(engine.load(request)).unwrap(),
            template: Slot::new(Arc::new(TemplateSetup { component: template, config: TEMPLATE.into() })),
            sampler: None,
            chat: Mutex::default(),
            ends: Mutex::default(),
            tools: Vec::new(),
            grants: Grants::none(),
            observed: Mutex::default(),
        }
    }

    /// The same with a grant.
    pub(crate) fn granting(self, grant: &str) -> Self {
        Self { grants: self.grants.with(grant.parse().unwrap()), ..self }
    }

    /// Puts a component into the chat slot, as the seat of this number.
    fn seat(&self, number: u64, component: &Component, is_return: bool) {
        let component = ChatComponent::new(component).unwrap();
        *self.chat.lock().unwrap() = Some(ChatSeat { number, component, is_return });
    }
}

impl ChatHost for TestHost {
    fn models(&self) -> Vec<Model> {
        vec![self.model.clone()]
    }

    fn template(&self) -> Arc<TemplateSetup> {
        self.template.current()
    }

    fn chat(&self) -> Option<ChatSeat> {
        self.chat.lock().unwrap().clone()
    }

    fn grants(&self) -> Grants {
        self.grants.clone()
    }

    fn end_turn(&self, end: &TurnEnd) {
        self.ends.lock().unwrap().push(end.clone());
    }

    fn request(&self, model: &Model, options: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        let max_tokens = options.max_tokens.unwrap_or(64) as usize;
        let sampling = match &self.sampler {
            Some(sampler) => Sampling::Policy(sampler.instantiate("{}", None, &vocabulary())?),
            None => Sampling::Chain(Chain::greedy()),
        };
        let compile = |source| Grammar::compile(model.tokenizer().unwrap(), source);
        let grammar = options.grammar.as_ref().map(compile).transpose()?;
        Ok(GenerateRequest { sampling, max_tokens, end_tokens: vec![END], grammar, ..GenerateRequest::default() })
    }

    fn tools(&self) -> Vec<OfferedTool> {
        self.tools.clone()
    }

    fn call_tool(&self, name: String, arguments: String) -> BoxFuture<Result<String, ComponentError>> {
        Box::pin(async move { Ok(format!("{{\"{name}\":{arguments}}}")) })
    }

    fn observe(&self, event: &Event) {
        self.observed.lock().unwrap().push(event.clone());
    }
}

pub(crate) fn tokio() -> Tokio {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// All events of a turn.
pub(crate) fn events(session: &ChatSession, text: &str) -> Result<Vec<ChatEvent>, ComponentError> {
    let mut turn = session.send(vec![Message::user(text)]);
    std::iter::from_fn(|| turn.blocking_next()).collect()
}

pub(crate) fn session(
    tokio: &Tokio,
    component: &Component,
    saved: Option<SavedState>,
    host: Arc<TestHost>,
) -> ChatSession {
    let component = ChatComponent::new(component).unwrap();
    ChatSession::resume(tokio.handle(), component, "{}".into(), saved, MessageLog::default(), host)
}

/// Runs one turn of a component.
pub(crate) fn one_turn(component: &Component, saved: Option<SavedState>) -> Result<(), ComponentError> {
    let tokio = tokio();
    let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
    let session = session(&tokio, component, saved, host);
    let outcome = events(&session, "hello");
    let left = session.log().len();
    match &outcome {
        Ok(events) => assert_eq!((&events[..], left), (&[ChatEvent::Done(FinishReason::Stop)][..], 1)),
        Err(_) => assert_eq!(left, 0, "a failed turn leaves no message"),
    }
    outcome.map(drop)
}

/// Asks a component for what it saves.
pub(crate) fn save(component: &Component) -> Result<SavedState, ComponentError> {
    let tokio = tokio();
    let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
    let session = session(&tokio, component, None, host);
    tokio.block_on(session.save())
}

#[test]
fn turns_queue_and_a_session_outlives_a_failed_one() {
    let tokio = tokio();
    let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
    let session = session(&tokio, &GOOD.chat(), None, host);
    let mut turns: Vec<_> = (0..3).map(|_| session.send(vec![Message::user("hello")])).collect();
    for turn in &mut turns {
        assert_eq!(turn.blocking_next().unwrap().unwrap(), ChatEvent::Done(FinishReason::Stop));
        assert!(turn.blocking_next().is_none());
    }
    assert_eq!(session.log().len(), 3);
}

/// The shipped chat over the shipped jinja template, with a model that gives these answers.
fn chat(tokio: &Tokio, script: FakeScript) -> TestHost {
    TestHost::new(tokio, script, runtime().builtin("jinja").unwrap())
}

fn shipped(tokio: &Tokio, host: &Arc<TestHost>) -> ChatSession {
    session(tokio, &runtime().builtin("chat").unwrap(), None, Arc::clone(host))
}

/// The content of all events together, and how the turn ended.
fn content(events: &[ChatEvent]) -> (String, FinishReason) {
    let text = events.iter().filter_map(|event| match event {
        ChatEvent::Content(text) => Some(text.as_str()),
        _ => None,
    });
    let Some(ChatEvent::Done(reason)) = events.last() else { panic!("a turn ends with its reason") };
    (text.collect(), *reason)
}

#[test]
fn a_conversation_streams_and_is_logged() {
    let tokio = tokio();
    let host = Arc::new(chat(&tokio, answers(&["Hello!", "Bye."])));
    let session = shipped(&tokio, &host);
    assert_eq!(content(&events(&session, "Hi").unwrap()), ("Hello!".into(), FinishReason::Stop));
    let second = events(&session, "I must go").unwrap();
    assert_eq!(content(&second), ("Bye.".into(), FinishReason::Stop));
    let usage = second.iter().find_map(|event| match event {
        ChatEvent::Usage(usage) => Some(*usage),
        _ => None,
    });
    // The second prompt is the first one, its answer with the very tokens that were generated, and what is new.
    assert!(usage.unwrap().cached_tokens > "user: Hi\nassistant: ".len() as u32, "{usage:?}");
    let texts: Vec<_> = session.log().messages().iter().map(|message| (message.role.clone(), message.text())).collect();
    let expected = [("user", "Hi"), ("assistant", "Hello!"), ("user", "I must go"), ("assistant", "Bye.")];
    assert_eq!(texts, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
    let observed = host.observed.lock().unwrap();
    assert_eq!(observed.iter().filter(|event| matches!(event, Event::Finished(_))).count(), 2);
}

const CALL: &str = r#"<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>"#;

fn add(callable: bool) -> OfferedTool {
    let tool = Tool { name: "add".into(), description: "Adds.".into(), parameters: serde_json::json!({}) };
    OfferedTool { tool, callable }
}

#[test]
fn tools_are_run_and_the_model_goes_on() {
    let tokio = tokio();
    let host = Arc::new(TestHost { tools: vec![add(true)], ..chat(&tokio, answers(&[CALL, "It is 2."])) });
    let session = shipped(&tokio, &host);
    let events = events(&session, "1 + 1?").unwrap();
    let result = events.iter().find_map(|event| match event {
        ChatEvent::ToolResult { result, .. } => Some(result.as_str()),
        _ => None,
    });
    assert_eq!(result, Some(r#"{"add":{"a": 1}}"#));
    assert_eq!(content(&events), ("It is 2.".into(), FinishReason::Stop));
    assert_eq!(session.log().len(), 4);
}

#[test]
fn what_looks_like_a_call_is_content_where_no_tools_were_offered() {
    let tokio = tokio();
    let host = Arc::new(chat(&tokio, answers(&[CALL])));
    let events = events(&shipped(&tokio, &host), "1 + 1?").unwrap();
    assert_eq!(content(&events), (CALL.into(), FinishReason::Stop));
}

#[test]
fn an_answer_is_read_by_the_end_of_its_prompt() {
    let tokio = tokio();
    // The model goes on from what the prompt has of its answer.
    let host = Arc::new(chat(&tokio, answers(&["<think>Hm.</think>Yes.", "<think></think>Yes."])));
    let session = shipped(&tokio, &host);
    for (end, expected) in [("<think>", "Hm."), ("<think></think>", "")] {
        let config = TEMPLATE.replace("assistant: ", &format!("assistant: {end}"));
        host.template.swap(Arc::new(TemplateSetup { component: runtime().builtin("jinja").unwrap(), config }));
        let events = events(&session, "Is it?").unwrap();
        let reasoning = events.iter().filter_map(|event| match event {
            ChatEvent::Reasoning(text) => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(reasoning.collect::<String>(), expected);
        assert_eq!(content(&events), ("Yes.".into(), FinishReason::Stop));
    }
}

#[test]
fn calls_of_the_callers_tools_are_handed_back() {
    let tokio = tokio();
    let host = Arc::new(TestHost { tools: vec![add(false)], ..chat(&tokio, answers(&[CALL, "It is 2."])) });
    let session = shipped(&tokio, &host);
    let events = events(&session, "1 + 1?").unwrap();
    let Some(ChatEvent::ToolCall(call)) = events.first() else { panic!("{events:?}") };
    assert_eq!((call.name.as_str(), call.arguments.as_str()), ("add", r#"{"a": 1}"#));
    assert_eq!(content(&events).1, FinishReason::ToolCalls);
    let mut turn = session.send(vec![Message::tool(&call.id, "2")]);
    let events: Result<Vec<_>, _> = std::iter::from_fn(|| turn.blocking_next()).collect();
    assert_eq!(content(&events.unwrap()), ("It is 2.".into(), FinishReason::Stop));
}

#[test]
fn a_cancelled_turn_keeps_what_was_answered() {
    let tokio = tokio();
    let gate = Gate::new();
    let host = Arc::new(chat(&tokio, answers(&["A long answer"]).hold_pass(8, &gate)));
    let session = shipped(&tokio, &host);
    let mut turn = session.send(vec![Message::user("Go on")]);
    let Some(Ok(ChatEvent::Content(first))) = turn.blocking_next() else { panic!("it answers") };
    gate.wait_until_reached();
    turn.cancel();
    gate.open();
    let events: Result<Vec<_>, _> = std::iter::from_fn(|| turn.blocking_next()).collect();
    let (rest, reason) = content(&events.unwrap());
    assert_eq!(reason, FinishReason::Cancelled);
    let answered = first + &rest;
    assert!(answered.len() < 13 && "A long answer".starts_with(&answered), "{answered}");
    assert_eq!(session.log().messages()[1].text(), answered);
}

#[test]
fn an_abandoned_turn_leaves_nothing() {
    let tokio = tokio();
    let gate = Gate::new();
    let host = Arc::new(chat(&tokio, answers(&["Answer"]).hold_pass(4, &gate)));
    let session = shipped(&tokio, &host);
    let mut turn = session.send(vec![Message::user("Go on")]);
    assert!(matches!(turn.blocking_next(), Some(Ok(ChatEvent::Content(_)))));
    drop(turn);
    gate.open();
    assert_eq!(content(&events(&session, "Again").unwrap()), ("Answer".into(), FinishReason::Stop));
    let texts: Vec<_> = session.log().messages().iter().map(Message::text).collect();
    assert_eq!(texts, ["Again", "Answer"]);
}

#[test]
fn a_template_that_traps_fails_the_turn_and_is_named() {
    let tokio = tokio();
    // Its parser's `push`.
    let template = Guest { place: 5, attack: Attack::Trap, ..GOOD }.template();
    let host = Arc::new(TestHost::new(&tokio, FakeScript::new().says(2, &[104, 105, END]), template));
    let session = shipped(&tokio, &host);
    let error = events(&session, "Hi").unwrap_err();
    assert_eq!((error.kind(), error.component()), (ComponentErrorKind::Trapped, "template"), "{error}");
    assert!(session.log().is_empty());
    // Another in its slot serves the next turn.
    let good = TemplateSetup { component: GOOD.template(), config: "{}".into() };
    host.template.swap(Arc::new(good));
    assert_eq!(content(&events(&session, "Hi").unwrap()), ("hi".into(), FinishReason::Stop));
}

#[test]
fn a_template_is_not_to_blame_where_the_conversation_is_larger_than_it_must_bear() {
    let tokio = tokio();
    // Its `render`.
    let template = Guest { place: 2, attack: Attack::Loop, ..GOOD }.template();
    let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), template));
    let session = shipped(&tokio, &host);
    for (text, faults) in [("Hi".to_owned(), 1), ("Hi".repeat(256 << 10), 0)] {
        let error = events(&session, &text).unwrap_err();
        assert_eq!((error.kind(), error.component()), (ComponentErrorKind::Deadline, "template"), "{error}");
        assert_eq!(host.ends.lock().unwrap().last().unwrap().faults.len(), faults);
    }
}

#[test]
fn a_policy_that_traps_fails_the_turn_and_is_named() {
    let tokio = tokio();
    let policy = PolicyComponent::new(&Guest { place: 4, attack: Attack::Trap, ..GOOD }.policy()).unwrap();
    let host = Arc::new(TestHost { sampler: Some(policy), ..chat(&tokio, answers(&["Hello!"])) });
    let session = shipped(&tokio, &host);
    let error = events(&session, "Hi").unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::PolicyFailed, "{error}");
    assert!(error.to_string().contains("the sampling policy policy trapped"), "{error}");
    assert!(session.log().is_empty());
}

#[test]
fn a_chat_is_swapped_between_turns_and_keeps_its_state() {
    let tokio = tokio();
    let host = Arc::new(TestHost { tools: vec![add(false)], ..chat(&tokio, answers(&[CALL, CALL])) });
    let session = shipped(&tokio, &host);
    let id = |events: &[ChatEvent]| {
        events.iter().find_map(|event| match event {
            ChatEvent::ToolCall(call) => Some(call.id.clone()),
            _ => None,
        })
    };
    let first = id(&events(&session, "1 + 1?").unwrap());
    host.seat(7, &runtime().builtin("chat").unwrap(), false);
    let second = id(&events(&session, "And again?").unwrap());
    // The number of the last call is its state.
    assert_eq!((first.as_deref(), second.as_deref()), (Some("call_1"), Some("call_2")));
    // One that cannot be made leaves the old one in its place.
    host.seat(8, &Guest { place: 0, attack: Attack::Trap, ..GOOD }.chat(), false);
    assert_eq!(tokio.block_on(session.take_seat()).unwrap_err().kind(), ComponentErrorKind::Trapped);
    assert!(tokio.block_on(session.save()).is_ok());
    assert!(host.ends.lock().unwrap().iter().all(|end| end.is_good && end.faults.is_empty()));
}

#[test]
fn a_swap_that_fails_leaves_the_tokens_of_the_minute_as_they_are() {
    let tokio = tokio();
    let host = Arc::new(chat(&tokio, answers(&["Hello!", "Bye."])).granting("tokens=60"));
    let session = shipped(&tokio, &host);
    assert_eq!(content(&events(&session, "Hi").unwrap()).0, "Hello!");
    // It would have fewer, and does not begin.
    let traps = Guest { place: 0, attack: Attack::Trap, ..GOOD };
    let manifest = "name = 'traps'\nversion = '0.1.0'\nkind = 'chat'\nwasmlx = '0.1'\n[requests]\ntokens = 50";
    let bytes = Manifest::embed(manifest, &component(&traps.module("chat"), "chat-component", "0.1.0")).unwrap();
    host.seat(8, &runtime().load("traps", &bytes).unwrap(), false);
    assert_eq!(tokio.block_on(session.take_seat()).unwrap_err().kind(), ComponentErrorKind::Trapped);
    let error = events(&session, "I must go").unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::Denied, "{error}");
    assert!(error.message().starts_with("the 60 tokens a minute"), "{error}");
}

#[test]
fn a_cancelled_turn_does_not_wait_for_a_device_that_hangs() {
    let (tokio, gate) = (tokio(), Gate::new());
    let backend = FakeBackend::new(answers(&["Hello!"]).hold_pass(2, &gate));
    let patience = Patience { cancelled: Duration::from_millis(50), step: Duration::from_secs(3600) };
    let engine = Engine::start_patient(patience, move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap();
    // It is the sampler's reading that the device does not answer.
    let sampler = PolicyComponent::new(&Guest { reads: true, ..GOOD }.policy()).unwrap();
    let template = runtime().builtin("jinja").unwrap();
    let host = Arc::new(TestHost { sampler: Some(sampler), ..TestHost::with_engine(&tokio, &engine, template) });
    let session = shipped(&tokio, &host);
    let mut turn = session.send(vec![Message::user("Hi")]);
    gate.wait_until_reached();
    turn.cancel();
    let error = std::iter::from_fn(|| turn.blocking_next()).last().expect("an end").unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::Cancelled, "{error}");
    assert!(session.log().is_empty());
    assert!(host.ends.lock().unwrap()[0].faults.is_empty(), "nobody's component is to blame");
    gate.open();
}
