//! What crossing the boundary costs: a step of a policy over a device that does nothing, making instances, rendering,
//! a swap, and loading what is in the cache.
//!
//! `cargo bench -p wasmlx-components --profile dev` uses what the tests were built from.

#![allow(clippy::unwrap_used, reason = "there is no one to tell")]

#[path = "../tests/components/guests.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod guests;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use wasmlx_backend::null::{NullLogits, SCORES};
use wasmlx_components::{
    AnswerContext, Conversation, Message, PolicyComponent, Runtime, RuntimeOptions, Seat, Slot, Template,
    TemplateSetup, Vocabulary, builtin,
};
use wasmlx_engine::{Policy, StepInfo};

use guests::{GOOD, Guest, runtime};

fn step(policy: &mut dyn Policy) {
    let info = StepInfo { position: 300, generated: 44, new: &[17], seed: 1 };
    black_box(policy.step(&info, Box::new(NullLogits::new(Arc::default())))).expect("the policy answers");
}

fn policies(criterion: &mut Criterion) {
    let vocabulary = Vocabulary { size: SCORES, ..Vocabulary::default() };
    let mut group = criterion.benchmark_group("step");
    for operations in [0, 3, 10] {
        // One of the operations is the choice of a token.
        let component = PolicyComponent::new(&Guest { operations, ..GOOD }.policy()).unwrap();
        let mut policy = component.instantiate("{}", None, &vocabulary).unwrap();
        group.bench_function(format!("{operations} lazy operations"), |bencher| bencher.iter(|| step(&mut *policy)));
    }
    let params = r#"{"temperature": 0.7, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1}"#;
    for name in ["classic", "mirostat"] {
        let component = PolicyComponent::new(&runtime().builtin(name).unwrap()).unwrap();
        let params = if name == "classic" { params } else { "{}" };
        let mut policy = component.instantiate(params, None, &vocabulary).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| step(&mut *policy)));
    }
    group.finish();

    let classic = PolicyComponent::new(&runtime().builtin("classic").unwrap()).unwrap();
    criterion.bench_function("instantiate classic", |bencher| {
        bencher.iter_batched(
            || (),
            |()| classic.instantiate(params, None, &vocabulary).unwrap(),
            BatchSize::NumIterations(64),
        );
    });
    let default = PolicyComponent::new(&runtime().builtin("default-policy").unwrap()).unwrap();
    criterion.bench_function("plan of default-policy", |bencher| bencher.iter(|| default.plan("{}", &vocabulary)));
}

fn templates(criterion: &mut Criterion) {
    let chat_template = r#"{"chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"}"#;
    let conversation = Conversation {
        messages: vec![Message::system("Be brief."), Message::user("What is the capital of Japan?")],
        add_generation_prompt: true,
        ..Conversation::default()
    };
    for (name, config) in [("chatml", "{}"), ("jinja", chat_template)] {
        let component = runtime().builtin(name).unwrap();
        let setup = TemplateSetup { component, config: config.into() };
        criterion.bench_function(&format!("instantiate {name}"), |bencher| {
            bencher.iter_batched(|| (), |()| setup.instantiate().unwrap(), BatchSize::NumIterations(64));
        });
        let template = setup.instantiate().unwrap();
        criterion.bench_function(&format!("render by {name}"), |bencher| {
            bencher.iter(|| template.render(&conversation).unwrap());
        });
        let mut parser = template.parser(&AnswerContext::default()).unwrap();
        criterion.bench_function(&format!("a token read by {name}"), |bencher| {
            bencher.iter(|| parser.push(" word").unwrap());
        });
    }
}

/// What a swap adds to the time of those who look into the slot: everything else is done before, elsewhere.
fn swaps(criterion: &mut Criterion) {
    let setup = || Arc::new(TemplateSetup { component: GOOD.template(), config: "{}".into() });
    let mut group = criterion.benchmark_group("swap");
    // Two values take each other's place, so that none is made or freed: the pointer alone.
    let (slot, mut aside) = (Slot::new(setup()), setup());
    group.bench_function("pointer", |bencher| {
        bencher.iter(|| aside = slot.swap(Arc::clone(&aside)));
    });
    // As a host does it: the new seat knows the one before, whose own trial ends.
    let (slot, value) = (Slot::new(Arc::new(Seat::new(setup()))), setup());
    group.bench_function("seat on trial", |bencher| {
        bencher.iter(|| {
            let seat = Arc::new(Seat::on_trial(Arc::clone(&value), 3, slot.current()));
            slot.swap(seat).end_trial();
        });
    });
    // What each turn does, and a reader during a swap.
    group.bench_function("look", |bencher| bencher.iter(|| black_box(slot.current())));
    group.finish();
}

fn loading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let options = RuntimeOptions { cache_dir: Some(folder.path().to_owned()), ..RuntimeOptions::default() };
    let mut group = criterion.benchmark_group("from the cache");
    group.sample_size(20);
    let warm = Runtime::new(options.clone()).unwrap();
    for name in ["classic", "chat", "jinja"] {
        let bytes = builtin(name).unwrap();
        warm.load(name, bytes).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| warm.load(name, bytes).unwrap()));
    }
    // As a program that has just been started does it.
    group.bench_function("a new runtime with jinja", |bencher| {
        bencher.iter(|| {
            let runtime = Runtime::new(options.clone()).unwrap();
            Template::new(&runtime.builtin("jinja").unwrap(), r#"{"chat_template": "-"}"#).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, policies, templates, swaps, loading);
criterion_main!(benches);
