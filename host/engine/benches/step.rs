//! What the engine's own work costs a token: the fake backend driven by a bare loop, and by the engine.
//!
//! The difference between `bare loop` and the others is detokenising, stop strings, the scheduler, and the channel to
//! the reader, who sits on another thread.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wasmlx_backend::fake::{FakeBackend, FakeScript, VOCABULARY_SIZE, tokenizer_json};
use wasmlx_backend::{Backend, Input, LoadOptions, Logits};
use wasmlx_engine::{
    Chain, Choice, Context, Engine, GenerateRequest, LoadRequest, Policy, PolicyError, Sampling, StepInfo,
};
use wasmlx_text::{Grammar, GrammarSource, Tokenizer};

const TOKENS: usize = 1000;

/// A model that costs next to nothing and says letters.
fn script() -> FakeScript {
    FakeScript::new().scores(|tokens| {
        let mut scores = vec![0.0; VOCABULARY_SIZE as usize];
        scores[97 + tokens.len() % 26] = 1.0;
        scores
    })
}

struct Best;

impl Policy for Best {
    fn step(&mut self, _: &StepInfo<'_>, mut logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        Ok(Choice::Token(logits.argmax().unwrap()))
    }
}

fn bare_loop(tokens: usize) {
    let mut backend = FakeBackend::new(script());
    let load = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(()));
    let model = load.unwrap();
    let mut cache = model.new_cache();
    let mut token = model.forward(Input::Ids(&[1]), &mut *cache).unwrap().argmax().unwrap();
    token.start().unwrap();
    for _ in 1..tokens {
        let next = model.forward(Input::Sampled(&*token), &mut *cache).unwrap().argmax().unwrap();
        next.start().unwrap();
        token.read().unwrap();
        token = next;
    }
    token.read().unwrap();
}

fn engine_loop(context: &mut Context, sampling: Sampling, grammar: Option<&Grammar>) {
    context.set_tokens(&[1]).unwrap();
    let (stops, grammar) = (vec!["never".to_owned()], grammar.cloned());
    let request = GenerateRequest { sampling, max_tokens: TOKENS, stops, grammar, ..GenerateRequest::default() };
    let mut generation = context.generate(request).unwrap();
    while generation.blocking_next().is_some() {}
}

fn step(criterion: &mut Criterion) {
    let engine = Engine::start(|| Ok(Box::new(FakeBackend::new(script())))).unwrap();
    let tokenizer = Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap();
    let load = engine.load(LoadRequest { tokenizer: Some(tokenizer), ..LoadRequest::new("fake", "models/fake") });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut context = runtime.block_on(load).unwrap().new_context();

    let mut group = criterion.benchmark_group("a thousand tokens");
    group.throughput(Throughput::Elements(TOKENS as u64));
    group.bench_function("bare loop", |bencher| bencher.iter(|| bare_loop(TOKENS)));
    group.bench_function("chain", |bencher| {
        bencher.iter(|| engine_loop(&mut context, Sampling::Chain(Chain::greedy()), None));
    });
    let letters = GrammarSource::Regex("[a-z]*".to_owned());
    let grammar = Grammar::compile(context.model().tokenizer().unwrap(), &letters).unwrap();
    group.bench_function("chain under a grammar", |bencher| {
        bencher.iter(|| engine_loop(&mut context, Sampling::Chain(Chain::greedy()), Some(&grammar)));
    });
    group.bench_function("policy", |bencher| {
        bencher.iter(|| engine_loop(&mut context, Sampling::Policy(Box::new(Best)), None))
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
