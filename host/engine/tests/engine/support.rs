//! What the tests share.

use std::future::Future;

use wasmlx_backend::Backend;
use wasmlx_backend::fake::{FakeBackend, FakeProbe, FakeScript, tokenizer_json};
use wasmlx_engine::{Context, Engine, EngineError, Event, Finished, GenerateRequest, Generation, LoadRequest, Model};
use wasmlx_text::{Segment, Tokenizer};

/// Waits for a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn start(script: FakeScript) -> (Engine, FakeProbe) {
    let backend = FakeBackend::new(script);
    let probe = backend.probe();
    (Engine::start(move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap(), probe)
}

pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap()
}

pub(crate) fn load_request(name: &str) -> LoadRequest {
    LoadRequest { tokenizer: Some(tokenizer()), ..LoadRequest::new(name, "models/fake") }
}

/// An engine with a model of the fake vocabulary.
pub(crate) fn model(script: FakeScript) -> (Model, FakeProbe) {
    let (engine, probe) = start(script);
    (wait(engine.load(load_request("fake"))).unwrap(), probe)
}

/// A context that holds this text.
pub(crate) fn context(model: &Model, text: &str) -> Context {
    let mut context = model.new_context();
    context.prompt(&[Segment::Trusted(text.into())]).unwrap();
    context
}

pub(crate) fn request(max_tokens: usize) -> GenerateRequest {
    GenerateRequest { max_tokens, ..GenerateRequest::default() }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
    pub(crate) finished: Finished,
}

/// Receives all that comes.
pub(crate) fn collect(generation: &mut Generation) -> Result<Answer, EngineError> {
    let (mut tokens, mut text) = (Vec::new(), String::new());
    while let Some(event) = generation.blocking_next() {
        match event? {
            Event::Token { id, text: piece, .. } => {
                tokens.push(id);
                text.push_str(&piece);
            }
            Event::Finished(finished) => {
                assert!(generation.blocking_next().is_none(), "something came after the end");
                assert_eq!(finished.tokens, tokens, "each token has one event");
                assert_eq!(finished.usage.completion_tokens, tokens.len());
                return Ok(Answer { tokens, text, finished });
            }
        }
    }
    panic!("the answer had no end");
}

pub(crate) fn answer(context: &mut Context, request: GenerateRequest) -> Answer {
    collect(&mut context.generate(request).unwrap()).unwrap()
}

/// The tokens of a text in the fake vocabulary.
pub(crate) fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}
