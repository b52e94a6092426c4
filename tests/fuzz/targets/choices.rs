//! What a policy chooses. Whatever it is, the generation ends, with no more tokens than were allowed, and nothing that
//! was streamed is taken back.

use std::sync::LazyLock;

use wasmlx_backend::fake::{FakeBackend, FakeScript, tokenizer_json};
use wasmlx_backend::{Backend, Logits};
use wasmlx_engine::{
    Choice, Engine, EngineErrorKind, Event, GenerateRequest, LoadRequest, Model, Policy, PolicyError, Sampling,
    StepInfo,
};
use wasmlx_text::{Segment, Tokenizer};

use super::Bytes;

const MOST: usize = 48;

pub(super) static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let backend = FakeBackend::new(FakeScript::new());
    let engine = Engine::start(move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap();
    let tokenizer = Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap();
    let request = LoadRequest { tokenizer: Some(tokenizer), ..LoadRequest::new("fake", "models/fake") };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(engine.load(request)).unwrap()
});

/// Chooses what its bytes say.
struct Fuzzed {
    bytes: Vec<u8>,
    at: usize,
    max_backtrack: usize,
}

impl Fuzzed {
    fn list(bytes: &mut Bytes<'_>) -> Vec<u32> {
        let length = bytes.next() % 9;
        // Mostly tokens that there are, control tokens among them; sometimes any number.
        let token = |bytes: &mut Bytes<'_>| if bytes.next() < 250 { bytes.next_u32() % 260 } else { bytes.next_u32() };
        (0..length).map(|_| token(bytes)).collect()
    }
}

impl Policy for Fuzzed {
    fn max_backtrack(&self) -> usize {
        self.max_backtrack
    }

    fn step(&mut self, _: &StepInfo<'_>, mut logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        let mut bytes = Bytes(&self.bytes[self.at.min(self.bytes.len())..]);
        let before = bytes.0.len();
        let choice = match bytes.next() % 8 {
            0..=2 => Choice::Token(logits.argmax().unwrap()),
            3 | 4 => Choice::Forced(Self::list(&mut bytes)),
            5 | 6 => Choice::Backtrack(usize::from(bytes.next() % 70), Self::list(&mut bytes)),
            _ => Choice::Stop,
        };
        self.at += before - bytes.0.len();
        Ok(choice)
    }
}

/// The first byte is how much the policy may drop at a time; choices follow.
pub(super) fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let max_backtrack = usize::from(first % 65);
    let mut context = MODEL.new_context();
    context.prompt(&[Segment::Trusted("Once".to_owned())]).unwrap();
    let policy = Fuzzed { bytes: bytes.to_vec(), at: 0, max_backtrack };
    let request = GenerateRequest {
        sampling: Sampling::Policy(Box::new(policy)),
        max_tokens: MOST,
        stops: vec!["stop".to_owned()],
        end_tokens: vec![256],
        ..GenerateRequest::default()
    };
    let mut generation = context.generate(request).unwrap();
    let mut streamed = Vec::new();
    while let Some(event) = generation.blocking_next() {
        match event {
            Ok(Event::Token { id, .. }) => streamed.push(id),
            Ok(Event::Finished(finished)) => {
                assert!(finished.tokens.len() <= MOST, "{finished:?}");
                assert_eq!(finished.tokens, streamed, "what was streamed is the answer");
            }
            Err(error) => assert_eq!(error.kind(), EngineErrorKind::PolicyFailed, "{error}"),
        }
    }
}
