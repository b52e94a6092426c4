//! A device that has no room for what all contexts hold.

use wasmlx_backend::fake::FakeScript;
use wasmlx_engine::{Chain, Context, EngineErrorKind, GenerateRequest, Model, Sampling};

use crate::support::{Answer, answer, collect, context, model, request, wait};

const NAMES: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "fay"];

/// A request whose answer shows whether a token was drawn again as it was, and what its scores were.
fn drawn(max_tokens: usize) -> GenerateRequest {
    let chain = Chain { temperature: 1.0, ..Chain::default() };
    GenerateRequest { sampling: Sampling::Chain(chain), seed: 7, logprobs: Some(2), ..request(max_tokens) }
}

fn contexts(model: &Model) -> Vec<Context> {
    NAMES.iter().map(|name| context(model, name)).collect()
}

fn said(answer: Answer) -> (Vec<u32>, String) {
    (answer.tokens, answer.text)
}

#[test]
fn contexts_that_are_not_used_make_room() {
    let (plenty, _) = model(FakeScript::new());
    // For the three tokens and the answer of three of the six.
    let (tight, probe) = model(FakeScript::new().room(40));
    let (mut expected, mut contexts) = (contexts(&plenty), contexts(&tight));
    for round in 0..3 {
        for (context, expected) in contexts.iter_mut().zip(&mut expected) {
            assert_eq!(said(answer(context, drawn(4))), said(answer(expected, drawn(4))), "in round {round}");
        }
    }
    let held: usize = probe.caches().iter().map(Vec::len).sum();
    assert!(held <= 40, "{held}");
    for (context, expected) in contexts.iter().zip(&expected) {
        assert_eq!(context.tokens(), expected.tokens());
    }
}

#[test]
fn the_one_that_was_used_longest_ago_goes_first() {
    let (model, probe) = model(FakeScript::new().room(16));
    let mut contexts = contexts(&model);
    for context in &mut contexts[..3] {
        answer(context, request(2));
    }
    // Each has three tokens and the first of its answer; the other was not read.
    assert_eq!(probe.caches().len(), 3, "all three fit: {:?}", probe.caches());
    answer(&mut contexts[0], request(1));
    answer(&mut contexts[3], request(2));
    let cached = |context: &mut Context| answer(context, request(1)).finished.usage.cached_tokens;
    assert!(cached(&mut contexts[0]) > 3, "it was used after the others");
    assert_eq!(cached(&mut contexts[1]), 0, "it was used longest ago");
}

#[test]
fn what_is_full_by_itself_is_an_error() {
    let (model, probe) = model(FakeScript::new().room(8));
    let (mut small, mut large) = (context(&model, "ann"), context(&model, "a long text"));
    let right = answer(&mut small, request(2)).tokens;
    let error = collect(&mut large.generate(request(2)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::OutOfMemory, "{error}");
    assert!(probe.caches().is_empty(), "what did not help is free again when that is told");
    assert!(probe.clearings() >= 2, "memory was given back before each try and after the last");
    small.truncate(3).unwrap();
    assert_eq!(answer(&mut small, request(2)).tokens, right);
}

#[test]
fn a_fork_makes_room_for_itself() {
    let (model, probe) = model(FakeScript::new().room(11));
    let (mut other, mut context) = (context(&model, "ann"), context(&model, "bob"));
    answer(&mut other, request(2));
    answer(&mut context, request(2));
    let mut fork = wait(context.fork()).unwrap();
    assert_eq!(probe.caches().len(), 2, "the other one's is gone");
    assert_eq!(answer(&mut fork, request(2)).tokens, answer(&mut context, request(2)).tokens);
    // It holds more than half of what there is now, and nobody else has anything.
    let error = wait(context.fork()).map(drop).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::OutOfMemory, "{error}");
}
