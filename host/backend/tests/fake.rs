//! The fake backend: its operations on scores beside mlx-lm's, and its way of being late.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use wasmlx_backend::fake::{FakeBackend, FakeProbe, FakeScript, Gate};
use wasmlx_backend::{Backend, BackendErrorKind, Input, LoadOptions, Logits, Model, Penalties, SampleKey};

const SCORES: [f32; 8] = [2.0, -1.0, 0.5, 3.0, 0.5, -2.5, 1.5, 0.0];

fn load(script: FakeScript) -> (Box<dyn Model>, FakeProbe) {
    let mut backend = FakeBackend::new(script);
    let probe = backend.probe();
    let model = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    (model, probe)
}

/// Scores of eight tokens.
fn logits() -> Box<dyn Logits> {
    let (model, _) = load(FakeScript::new().scores(|_| SCORES.to_vec()));
    let mut cache = model.new_cache();
    model.forward(Input::Ids(&[1]), &mut *cache).unwrap()
}

fn after(change: impl FnOnce(&mut dyn Logits)) -> Vec<f32> {
    let mut logits = logits();
    change(&mut *logits);
    logits.read().unwrap()
}

/// Compares with numbers that mlx-lm 0.32.2's `sample_utils` gave for the same scores, none meaning minus infinity.
fn assert_are(scores: &[f32], expected: [Option<f32>; 8]) {
    let close = |(score, expected): (&f32, &Option<f32>)| match expected {
        Some(expected) => (score - expected).abs() < 1e-5,
        None => *score == f32::NEG_INFINITY,
    };
    assert!(scores.iter().zip(&expected).all(close), "{scores:?} is not {expected:?}");
}

#[test]
fn filters_are_mlx_lms() {
    let best_three = [Some(-1.602877), None, None, Some(-0.602877), None, None, Some(-2.102877), None];
    let one = [None, None, None, Some(-0.602877), None, None, None, None];
    assert_are(&after(|logits| logits.top_p(0.5).unwrap()), one);
    assert_are(&after(|logits| logits.top_p(0.8).unwrap()), best_three);
    assert_are(&after(|logits| logits.min_p(0.2, 1).unwrap()), best_three);
    assert_are(&after(|logits| logits.min_p(0.5, 3).unwrap()), best_three);
    let two = [Some(-1.602877), None, None, Some(-0.602877), None, None, None, None];
    assert_are(&after(|logits| logits.top_k(2).unwrap()), two);
}

#[test]
fn exclusion_of_top_choices_is_mlx_lms() {
    let key = SampleKey { seed: 0, position: 0, draw: 0 };
    let rest = [
        None,
        Some(-4.602877),
        Some(-3.102877),
        None,
        Some(-3.102877),
        Some(-6.102877),
        Some(-2.102877),
        Some(-3.602877),
    ];
    assert_are(&after(|logits| logits.xtc(1.0, 0.1, &[], key).unwrap()), rest);
    let spared = [rest[..3].to_vec(), vec![Some(-0.602877)], rest[4..].to_vec()].concat().try_into().unwrap();
    assert_are(&after(|logits| logits.xtc(1.0, 0.1, &[3], key).unwrap()), spared);
    let how_often = (0..1000)
        .filter(|&position| {
            let key = SampleKey { position, ..key };
            after(|logits| logits.xtc(0.25, 0.1, &[], key).unwrap())[3] == f32::NEG_INFINITY
        })
        .count();
    assert!((200..300).contains(&how_often), "{how_often} of 1000, expected a quarter");
}

#[test]
fn a_chain_of_filters_does_not_normalise_again() {
    let key = SampleKey { seed: 0, position: 0, draw: 0 };
    let scores = after(|logits| {
        logits.top_p(0.9).unwrap();
        logits.min_p(0.1, 1).unwrap();
        logits.xtc(1.0, 0.2, &[], key).unwrap();
        logits.top_k(3).unwrap();
    });
    assert_are(&scores, [Some(-1.602877), None, None, None, None, None, Some(-2.102877), None]);
}

#[test]
fn penalties_are_mlx_lms() {
    let scores = after(|logits| {
        let penalties = Penalties { tokens: &[3, 1, 3, 6, 3], repetition: 1.5, presence: 0.5, frequency: 0.25 };
        logits.penalise(&penalties).unwrap();
    });
    assert_are(&scores, [2.0, -2.25, 0.5, 0.75, 0.5, -2.5, 0.25, 0.0].map(Some));
}

#[test]
fn scores_change_as_asked() {
    assert_are(&after(|logits| logits.scale(2.0).unwrap()), SCORES.map(|score| Some(score * 2.0)));
    let biased = after(|logits| logits.bias(&[(0, 1.0), (5, -1.0)]).unwrap());
    assert_eq!((biased[0], biased[5], biased[1]), (3.0, -3.5, -1.0));
    assert_are(
        &after(|logits| logits.allow(&[1, 3]).unwrap()),
        [None, Some(-1.0), None, Some(3.0), None, None, None, None],
    );
    // Bits 1 and 3, and some beyond the vocabulary; a mask without words forbids all.
    let masked = after(|logits| logits.allow_mask(&[0xffff_ff0a, 1]).unwrap());
    assert_are(&masked, [None, Some(-1.0), None, Some(3.0), None, None, None, None]);
    assert_are(&after(|logits| logits.allow_mask(&[]).unwrap()), [None; 8]);
    assert_eq!(after(|logits| logits.forbid(&[3]).unwrap())[3], f32::NEG_INFINITY);
    let mixed = after(|own| {
        let mut other = own.fork().unwrap();
        other.scale(3.0).unwrap();
        own.mix(&*other, 0.5).unwrap();
    });
    assert_are(&mixed, SCORES.map(|score| Some(score * 2.0)));
    for error in [logits().bias(&[(8, 1.0)]), logits().allow(&[8]), logits().forbid(&[8])] {
        assert_eq!(error.unwrap_err().kind(), BackendErrorKind::InvalidInput);
    }
}

#[test]
fn what_is_read_is_log_probabilities() {
    let mut logits = logits();
    assert_eq!(logits.top(2).unwrap().iter().map(|(token, _)| *token).collect::<Vec<_>>(), [3, 0]);
    assert!((logits.top(1).unwrap()[0].1 - -0.602877).abs() < 1e-5);
    assert!((logits.logprobs(&[5]).unwrap()[0] - -6.102877).abs() < 1e-5);
    logits.allow(&[2, 4]).unwrap();
    assert!((logits.entropy().unwrap() - 2.0_f32.ln()).abs() < 1e-5, "two tokens alike");
}

#[test]
fn draws_follow_the_distribution_and_the_key() {
    let mut counts = [0_u32; 8];
    for position in 0..20_000 {
        let key = SampleKey { seed: 1, position, draw: 0 };
        let token = logits().sample(key).unwrap().read().unwrap();
        assert_eq!(token, logits().sample(key).unwrap().read().unwrap());
        counts[token as usize] += 1;
    }
    let sum: f32 = SCORES.iter().map(|score| score.exp()).sum();
    for (token, &count) in counts.iter().enumerate() {
        let expected = SCORES[token].exp() / sum * 20_000.0;
        // Four standard deviations.
        assert!(
            (count as f32 - expected).abs() < 4.0 * expected.sqrt() + 1.0,
            "token {token}: {count}, not {expected}"
        );
    }
}

#[test]
fn work_is_queued_and_its_failure_shows_when_it_is_read() {
    let (model, probe) = load(FakeScript::new().fail_pass(1, BackendErrorKind::OutOfMemory));
    let mut cache = model.new_cache();
    let token = model.forward(Input::Ids(&[1, 2, 3]), &mut *cache).unwrap().argmax().unwrap();
    token.start().unwrap();
    let next = model.forward(Input::Sampled(&*token), &mut *cache).unwrap().argmax().unwrap();
    let third = model.forward(Input::Sampled(&*next), &mut *cache).unwrap().argmax().unwrap();
    let counters = probe.counters();
    assert_eq!((counters.forwards, counters.evals, counters.reads), (3, 1, 0));
    let id = token.read().unwrap();
    assert_eq!(next.read().unwrap_err().kind(), BackendErrorKind::OutOfMemory);
    assert_eq!(third.read().unwrap_err().kind(), BackendErrorKind::OutOfMemory, "it depends on the one that failed");
    let counters = probe.counters();
    assert_eq!((counters.evals, counters.reads), (3, 3), "a read hands over what was not handed over yet");
    assert_eq!(probe.caches()[0][..4], [1, 2, 3, id]);
}

#[test]
fn a_gate_holds_who_reads_and_no_one_else() {
    let gate = Gate::new();
    let (model, _) = load(FakeScript::new().hold_pass(1, &gate));
    let mut cache = model.new_cache();
    let first = model.forward(Input::Ids(&[1]), &mut *cache).unwrap().argmax().unwrap();
    let second = model.forward(Input::Sampled(&*first), &mut *cache).unwrap().argmax().unwrap();
    first.read().unwrap();
    let reader = std::thread::spawn(move || second.read());
    gate.wait_until_reached();
    assert!(!reader.is_finished());
    gate.open();
    reader.join().unwrap().unwrap();
}

#[test]
fn caches_remember_go_back_and_part() {
    let (model, probe) = load(FakeScript::new());
    let mut cache = model.new_cache();
    model.prefill(&[1, 2, 3, 4], &mut *cache).unwrap();
    let mut fork = cache.fork().unwrap();
    fork.truncate(2).unwrap();
    let best = |tokens: &[u32], cache: &mut dyn wasmlx_backend::KvCache| {
        model.forward(Input::Ids(tokens), cache).unwrap().argmax().unwrap().read().unwrap()
    };
    assert_eq!(
        best(&[3, 4, 5], &mut *fork),
        best(&[5], &mut *cache),
        "the scores are of the tokens, however they came"
    );
    assert_eq!(probe.caches(), [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]);
    assert_eq!((cache.len(), cache.bytes()), (5, 5 * 1024));
    drop(fork);
    assert_eq!(probe.caches().len(), 1);
    assert_eq!(
        model.forward(Input::Ids(&[]), &mut *cache).map(|_| ()).unwrap_err().kind(),
        BackendErrorKind::InvalidInput
    );
    assert_eq!(model.prefill(&[260], &mut *cache).unwrap_err().kind(), BackendErrorKind::InvalidInput);
}
