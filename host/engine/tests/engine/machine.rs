//! Any order of operations: the law that looking ahead, keeping caches and streaming change nothing.

use proptest::prelude::*;
use wasmlx_backend::fake::{END, FakeProbe, FakeScript, VOCABULARY_SIZE};
use wasmlx_backend::{Logits, SampleKey};
use wasmlx_engine::{
    Chain, ChainPenalties, Choice, Context, EngineErrorKind, Event, FinishReason, GenerateRequest, Policy, PolicyError,
    Sampling, StepInfo,
};
use wasmlx_text::Segment;

use crate::reference::{Expected, reference};
use crate::support::{answer, load_request, request, start, wait};

const CONTEXT_LENGTH: usize = 64;

/// The tokens that the model likes: letters, the bytes of `€`, `<tool>` and the end.
const ALPHABET: [u32; 8] = [97, 98, 32, 0xe2, 0x82, 0xac, 258, END];

/// A model that answers from the alphabet, by all tokens before.
fn script() -> FakeScript {
    FakeScript::new().context_length(CONTEXT_LENGTH as u32).scores(|tokens| {
        let hash = mixed(tokens, 0);
        let mut scores = vec![-20.0; VOCABULARY_SIZE as usize];
        for (index, &token) in ALPHABET.iter().enumerate() {
            let bits = SampleKey { seed: hash, position: index as u32, draw: 0 }.bits();
            scores[token as usize] = (bits % 1000) as f32 / 250.0 - if token == END { 1.5 } else { 0.0 };
        }
        scores
    })
}

fn mixed(tokens: &[u32], seed: u64) -> u64 {
    tokens.iter().fold(seed, |hash, &token| SampleKey { seed: hash, position: token, draw: 0 }.bits())
}

/// A policy that does everything that is allowed, in an order that only its seed and the text decide.
struct Wild {
    chain: Chain,
    backtrack: usize,
    tokens: Vec<u32>,
    steps: u64,
    /// How many generated tokens the reader may have.
    released: usize,
}

impl Policy for Wild {
    fn max_backtrack(&self) -> usize {
        self.backtrack
    }

    fn step(&mut self, info: &StepInfo<'_>, logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        self.tokens.extend(info.new);
        assert_eq!(self.tokens.len(), info.position as usize, "the policy was told of every token");
        self.steps += 1;
        let generated = info.generated as usize;
        self.released = self.released.max(generated.saturating_sub(self.backtrack));
        let random = mixed(&self.tokens, info.seed ^ self.steps);
        let list = |count: u64| (0..count).map(|index| ALPHABET[(random >> (8 + 3 * index)) as usize % 8]).collect();
        let droppable = (generated - self.released) as u64;
        Ok(match random % 32 {
            0..4 => Choice::Forced(list(1 + (random >> 32) % 4)),
            4..12 if droppable > 0 => {
                let count = (1 + (random >> 32) % droppable) as usize;
                self.tokens.truncate(self.tokens.len() - count);
                Choice::Backtrack(count, list((random >> 40) % 3))
            }
            12 => Choice::Stop,
            _ => {
                let key = SampleKey { seed: info.seed, position: info.position, draw: 0 };
                Choice::Token(self.chain.sample(logits, &self.tokens, key).unwrap())
            }
        })
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Prompt(Vec<Segment>),
    Append(Vec<Segment>),
    Truncate(usize),
    Fork,
    /// Goes on with another of the contexts.
    Turn,
    Drop,
    Generate(Generate),
}

#[derive(Debug, Clone)]
struct Generate {
    chain: Chain,
    policy: Option<usize>,
    seed: u64,
    max_tokens: usize,
    stops: Vec<String>,
    ends: bool,
    chunk: usize,
    interrupt: Interrupt,
}

#[derive(Debug, Clone, Copy)]
enum Interrupt {
    Never,
    /// After so many events.
    Cancel(usize),
    Drop(usize),
}

impl Generate {
    fn request(&self) -> GenerateRequest {
        let sampling = match self.policy {
            None => Sampling::Chain(self.chain.clone()),
            Some(backtrack) => {
                let (chain, tokens) = (self.chain.clone(), Vec::new());
                Sampling::Policy(Box::new(Wild { chain, backtrack, tokens, steps: 0, released: 0 }))
            }
        };
        GenerateRequest {
            sampling,
            max_tokens: self.max_tokens,
            stops: self.stops.clone(),
            end_tokens: if self.ends { vec![END] } else { Vec::new() },
            grammar: None,
            seed: self.seed,
            logprobs: None,
            prefill_chunk: self.chunk,
        }
    }
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let segment = prop_oneof![
        prop_oneof![Just("<|start|>"), Just("<|end|>"), Just("<tool>")].prop_map(|name| Segment::Control(name.into())),
        "[ab €]{0,5}".prop_map(Segment::Trusted),
        "[ab €]{0,5}".prop_map(Segment::Untrusted),
    ];
    prop::collection::vec(segment, 0..5)
}

fn generate() -> impl Strategy<Value = Generate> {
    let chain = (prop_oneof![Just(0.0_f32), Just(1.0), Just(0.7)], any::<bool>(), prop::option::of(0_u32..6)).prop_map(
        |(temperature, filters, window)| Chain {
            temperature,
            top_p: filters.then_some(0.9),
            xtc: filters.then_some((0.5, 0.1)),
            penalties: window.map(|window| ChainPenalties { repetition: 1.2, presence: 0.5, frequency: 0.2, window }),
            ..Chain::greedy()
        },
    );
    let stops = prop::sample::subsequence(vec!["ab".to_owned(), "b €".into(), "€€".into(), "<tool>a".into()], 0..3);
    let interrupt = prop_oneof![
        3 => Just(Interrupt::Never),
        1 => (0_usize..8).prop_map(Interrupt::Cancel),
        1 => (0_usize..8).prop_map(Interrupt::Drop),
    ];
    (chain, prop::option::of(0_usize..6), any::<u64>(), 0_usize..24, stops, any::<bool>(), 1_usize..12, interrupt)
        .prop_map(|(chain, policy, seed, max_tokens, stops, ends, chunk, interrupt)| Generate {
            chain,
            policy,
            seed,
            max_tokens,
            stops,
            ends,
            chunk,
            interrupt,
        })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => segments().prop_map(Operation::Prompt),
        2 => segments().prop_map(Operation::Append),
        1 => (0_usize..CONTEXT_LENGTH).prop_map(Operation::Truncate),
        1 => Just(Operation::Fork),
        1 => Just(Operation::Turn),
        1 => Just(Operation::Drop),
        5 => generate().prop_map(Operation::Generate),
    ]
}

/// Makes one change of the text. Returns whether it was made: a context that would be too full refuses.
fn change(context: &mut Context, segments: &[Segment], append: bool) -> Result<bool, TestCaseError> {
    let added: String = segments.iter().map(Segment::text).collect();
    let (text, tokens) = (context.text(), context.tokens());
    let result = if append { context.append(segments) } else { context.prompt(segments) };
    match result {
        Ok(info) => {
            let expected = if append { text + &added } else { added };
            prop_assert_eq!(context.text(), expected);
            prop_assert_eq!(info.tokens, context.len());
            Ok(true)
        }
        Err(error) => {
            prop_assert_eq!(error.kind(), EngineErrorKind::ContextFull);
            prop_assert_eq!((context.text(), context.tokens()), (text, tokens));
            Ok(false)
        }
    }
}

/// Generates, and holds it against what a loop without look-ahead gives.
fn go_on(context: &mut Context, generate: &Generate, probe: &FakeProbe) -> Result<(), TestCaseError> {
    let (before, text_before) = (context.tokens(), context.text());
    let mut generation = match context.generate(generate.request()) {
        Ok(generation) => generation,
        Err(error) => {
            let expected = match before.len() {
                0 => EngineErrorKind::InvalidInput,
                CONTEXT_LENGTH.. => EngineErrorKind::ContextFull,
                _ => return Err(TestCaseError::fail(format!("unexpected: {error}"))),
            };
            prop_assert_eq!(error.kind(), expected);
            return Ok(());
        }
    };
    let expected = reference(script(), &before, &mut generate.request(), CONTEXT_LENGTH);
    let (mut tokens, mut text) = (Vec::new(), String::new());
    let mut cancelled = false;
    let mut finished = None;
    loop {
        match generate.interrupt {
            Interrupt::Cancel(events) if tokens.len() == events => {
                generation.cancel();
                cancelled = true;
            }
            Interrupt::Drop(events) if tokens.len() == events => break,
            _ => {}
        }
        match generation.blocking_next() {
            Some(Ok(Event::Token { id, text: piece, .. })) => {
                tokens.push(id);
                text.push_str(&piece);
                // What a policy would have dropped later is shown where the answer is broken off.
                if !(cancelled && expected.went_back) {
                    prop_assert!(expected.tokens.starts_with(&tokens), "{tokens:?} is not how {expected:?} begins");
                }
                if !cancelled {
                    prop_assert!(expected.text.starts_with(&text), "{text:?} is not how {expected:?} begins");
                }
            }
            Some(Ok(Event::Finished(end))) => {
                finished = Some(end);
                break;
            }
            Some(Err(error)) => return Err(TestCaseError::fail(format!("unexpected: {error}"))),
            None => break,
        }
    }
    drop(generation);
    prop_assert_eq!(context.text(), text_before + &text, "the context holds what was shown");
    for stop in &generate.stops {
        prop_assert!(!text.contains(stop.as_str()), "{text:?} has the stop string {stop:?}");
    }
    let Some(finished) = finished else { return Ok(()) };
    if finished.reason != FinishReason::Cancelled {
        let Expected { tokens: ids, text: whole, reason, .. } = expected;
        prop_assert_eq!((&finished.tokens, &text, finished.reason), (&ids, &whole, reason));
    }
    prop_assert_eq!(&finished.tokens, &tokens);
    let whole = [before.clone(), tokens].concat();
    let caches = probe.caches();
    match (generate.policy, finished.reason) {
        // The last token is chosen and not read; a look-ahead on it is undone.
        (None, FinishReason::Stop | FinishReason::Length) => {
            prop_assert!(caches.iter().any(|cache| cache == &whole[..whole.len() - 1]), "{caches:?} for {whole:?}");
        }
        // Forced tokens may be left unread, and a policy may stop where all are read.
        (Some(_), FinishReason::Stop | FinishReason::Length) => {
            let is_this = |cache: &&Vec<u32>| whole.starts_with(cache) && cache.len() + 1 >= before.len();
            prop_assert!(caches.iter().any(|cache| is_this(&cache)), "{caches:?} for {whole:?}");
        }
        (_, FinishReason::Cancelled) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_operations_gives_what_a_loop_without_look_ahead_gives(
        operations in prop::collection::vec(operation(), 1..12),
    ) {
        let (engine, probe) = start(script());
        let model = wait(engine.load(load_request("fake"))).unwrap();
        let mut contexts = vec![model.new_context()];
        for operation in &operations {
            let is_last = contexts.len() == 1;
            let context = contexts.last_mut().unwrap();
            match operation {
                Operation::Prompt(segments) => {
                    change(context, segments, false)?;
                }
                Operation::Append(segments) => {
                    change(context, segments, true)?;
                }
                Operation::Truncate(len) => {
                    let tokens = context.tokens();
                    context.truncate(*len).unwrap();
                    prop_assert_eq!(context.tokens(), &tokens[..tokens.len().min(*len)]);
                }
                Operation::Fork => {
                    let fork = wait(context.fork()).unwrap();
                    prop_assert_eq!(fork.tokens(), context.tokens());
                    prop_assert_eq!(fork.text(), context.text());
                    contexts.push(fork);
                }
                Operation::Turn => contexts.rotate_right(1),
                Operation::Drop if is_last => {}
                Operation::Drop => drop(contexts.pop()),
                Operation::Generate(generate) => go_on(context, generate, &probe)?,
            }
        }
        // Its steps come in turn with those of generations that nobody waits for, which have ended when it has.
        let mut last = crate::support::context(&model, "a");
        answer(&mut last, request(2));
        contexts.push(last);
        wait(engine.stats()).unwrap();
        prop_assert!(probe.caches().len() <= contexts.len(), "{} caches", probe.caches().len());
    }
}
