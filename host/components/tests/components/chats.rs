//! Chat sessions over an engine with a fake device.

use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime as Tokio;
use wasmlx_backend::Backend;
use wasmlx_backend::fake::{END, FakeBackend, FakeScript, tokenizer_json};
use wasmlx_components::{
    BoxFuture, ChatComponent, ChatEvent, ChatHost, ChatSession, Component, ComponentError, FinishReason, GenerateOptions,
    Message, MessageLog, OfferedTool, TemplateSetup,
};
use wasmlx_engine::{Engine, Event, GenerateRequest, LoadRequest, Model, SavedState};
use wasmlx_text::Tokenizer;

use crate::guests::GOOD;

/// What a session is given in these tests.
pub(crate) struct TestHost {
    model: Model,
    template: Arc<TemplateSetup>,
    tools: Vec<OfferedTool>,
    observed: Mutex<Vec<Event>>,
}

impl TestHost {
    /// A model that follows the script, and a template.
    pub(crate) fn new(tokio: &Tokio, script: FakeScript, template: Component) -> Self {
        let backend = FakeBackend::new(script);
        let engine = Engine::start(move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap();
        let tokenizer = Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap();
        let request = LoadRequest { tokenizer: Some(tokenizer), ..LoadRequest::new("fake", "models/fake") };
        Self {
            model: tokio.block_on(engine.load(request)).unwrap(),
            template: Arc::new(TemplateSetup { component: template, config: "{}".into() }),
            tools: Vec::new(),
            observed: Mutex::default(),
        }
    }
}

impl ChatHost for TestHost {
    fn models(&self) -> Vec<Model> {
        vec![self.model.clone()]
    }

    fn template(&self) -> Arc<TemplateSetup> {
        Arc::clone(&self.template)
    }

    fn request(&self, _: &Model, options: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        let max_tokens = options.max_tokens.unwrap_or(64) as usize;
        Ok(GenerateRequest { max_tokens, end_tokens: vec![END], ..GenerateRequest::default() })
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
fn events(session: &ChatSession, text: &str) -> Result<Vec<ChatEvent>, ComponentError> {
    let mut turn = session.send(vec![Message::user(text)]);
    std::iter::from_fn(|| turn.blocking_next()).collect()
}

fn session(tokio: &Tokio, component: &Component, saved: Option<SavedState>, host: Arc<TestHost>) -> ChatSession {
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
