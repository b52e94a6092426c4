//! Every operation beside what mlx-lm 0.32.2 makes of the same scores (`tests/fixtures/sampling/generate.py`).

use std::sync::Arc;

use mlx_rs::Array;
use serde_json::Value;
use wasmlx_backend::{BackendError, BackendErrorKind, Logits, Penalties, SampleKey};

use super::MlxLogits;
use crate::device::{DeviceChoice, MlxBackend};

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/sampling/expected.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers of a fixture; null is minus infinity.
fn numbers(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().map_or(f32::NEG_INFINITY, |number| number as f32)).collect()
}

fn logits(scores: &[f32]) -> MlxLogits {
    MlxBackend::new(DeviceChoice::Cpu).unwrap();
    MlxLogits::new(Array::from_slice(scores, &[scores.len() as i32]), scores.len() as u32, Arc::default())
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (token, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = found == expected || (found - expected).abs() <= 1e-5;
        assert!(close, "{name}: token {token} is {found}, mlx-lm has {expected}");
    }
}

type Step = dyn Fn(&mut MlxLogits) -> Result<(), BackendError>;

#[test]
fn a_mask_is_the_list_of_its_bits() {
    let scores: Vec<f32> = (0..70).map(|score| score as f32 / 7.0 - 5.0).collect();
    let listed = [0_u32, 31, 32, 40, 63, 64, 69];
    let mut mask = [0_u32; 3];
    listed.iter().for_each(|token| mask[*token as usize / 32] |= 1 << (token % 32));
    let mut by_list = logits(&scores);
    by_list.allow(&listed).unwrap();
    let expected = by_list.read().unwrap();
    // A bit beyond the vocabulary means nothing.
    mask[2] |= 1 << 31;
    let mut by_mask = logits(&scores);
    by_mask.allow_mask(&mask).unwrap();
    assert_eq!(by_mask.read().unwrap(), expected);
    // Words that are missing allow nothing.
    let mut by_few = logits(&scores);
    by_few.allow_mask(&mask[..2]).unwrap();
    let few = by_few.read().unwrap();
    assert_eq!(few[..64], expected[..64]);
    assert!(few[64..].iter().all(|score| *score == f32::NEG_INFINITY));
}

#[test]
fn every_operation_is_mlx_lms() {
    let fixture = fixture();
    let tokens = [3, 5, 3, 8, 13, 3, 5];
    let penalties = move |repetition, presence, frequency| {
        move |logits: &mut MlxLogits| logits.penalise(&Penalties { tokens: &tokens, repetition, presence, frequency })
    };
    let key = SampleKey { seed: 1, position: 2, draw: 0 };
    let cases: Vec<(&str, Box<Step>)> = vec![
        ("scores", Box::new(|_| Ok(()))),
        ("top_k_7", Box::new(|logits| logits.top_k(7))),
        ("top_p_0.8", Box::new(|logits| logits.top_p(0.8))),
        ("min_p_0.1", Box::new(|logits| logits.min_p(0.1, 1))),
        ("min_p_0.5_keep_6", Box::new(|logits| logits.min_p(0.5, 6))),
        ("xtc_always", Box::new(move |logits| logits.xtc(1.0, 0.05, &[], key))),
        ("xtc_always_special", Box::new(move |logits| logits.xtc(1.0, 0.05, &[1, 6], key))),
        ("repetition_1.3", Box::new(penalties(1.3, 0.0, 0.0))),
        ("presence_0.7", Box::new(penalties(1.0, 0.7, 0.0))),
        ("frequency_0.4", Box::new(penalties(1.0, 0.0, 0.4))),
        ("all_penalties", Box::new(penalties(1.3, 0.7, 0.4))),
        ("bias", Box::new(|logits| logits.bias(&[(2, 1.5), (30, -4.0)]))),
        ("chain", Box::new(chain)),
    ];
    for (name, step) in cases {
        let mut logits = logits(&numbers(&fixture["scores"]));
        step(&mut logits).unwrap();
        assert_close(name, &logits.read().unwrap(), &numbers(&fixture[name]));
    }
}

/// Top-p, min-p and top-k, none of which normalises again.
fn chain(logits: &mut MlxLogits) -> Result<(), BackendError> {
    logits.top_p(0.95)?;
    logits.min_p(0.02, 1)?;
    logits.top_k(9)
}

/// The draws are MLX's own for a key.
#[test]
fn draws_are_mlx_own() {
    let fixture = fixture();
    for case in fixture["sampled"].as_array().unwrap() {
        let key = mlx_rs::random::key(case["key"].as_u64().unwrap()).unwrap();
        let draw = |step: &Step| {
            let mut logits = logits(&numbers(&fixture["scores"]));
            step(&mut logits).unwrap();
            logits.draw(&key).unwrap().item_exact::<u32>()
        };
        let temperature = |temperature: f32| move |logits: &mut MlxLogits| logits.scale(1.0 / temperature);
        assert_eq!(draw(&temperature(1.0)), case["at_temperature_1"], "{case}");
        assert_eq!(draw(&temperature(0.5)), case["at_temperature_0.5"], "{case}");
        let chained = draw(&|logits| chain(logits).and_then(|()| logits.scale(1.0 / 0.7)));
        assert_eq!(chained, case["chain_at_temperature_0.7"], "{case}");
    }
}

#[test]
fn readings_are_those_of_the_distribution() {
    let fixture = fixture();
    let mut logits = logits(&numbers(&fixture["scores"]));
    let logprobs = numbers(&fixture["logprobs"]);
    let entropy = fixture["entropy"].as_f64().unwrap() as f32;
    assert!((logits.entropy().unwrap() - entropy).abs() < 1e-5);
    assert_close("logprobs", &logits.logprobs(&[7, 0, 39]).unwrap(), &[logprobs[7], logprobs[0], logprobs[39]]);

    let mut order: Vec<u32> = (0..logprobs.len() as u32).collect();
    order.sort_by(|&a, &b| logprobs[b as usize].total_cmp(&logprobs[a as usize]));
    let best = logits.top(5).unwrap();
    assert_eq!(best.iter().map(|entry| entry.0).collect::<Vec<_>>(), order[..5]);
    let expected: Vec<f32> = order[..5].iter().map(|&token| logprobs[token as usize]).collect();
    assert_close("top", &best.iter().map(|entry| entry.1).collect::<Vec<_>>(), &expected);
    assert_eq!(logits.top(1000).unwrap().len(), logprobs.len());
    assert_eq!(logits.argmax().unwrap().read().unwrap(), order[0]);

    // Dropped tokens have no part in the entropy, and an infinitely low probability.
    logits.allow(&[4]).unwrap();
    assert_eq!(logits.entropy().unwrap(), 0.0);
    assert_eq!(logits.logprobs(&[4, 5]).unwrap(), [0.0, f32::NEG_INFINITY]);
}

#[test]
fn allowing_forbidding_mixing_and_forking() {
    let scores = [0.5, 3.0, -1.0, 2.0];
    let mut allowed = logits(&scores);
    allowed.allow(&[0, 2]).unwrap();
    assert_eq!(allowed.read().unwrap(), [0.5, f32::NEG_INFINITY, -1.0, f32::NEG_INFINITY]);

    let mut forbidden = logits(&scores);
    let mut untouched = forbidden.fork().unwrap();
    forbidden.forbid(&[1, 3]).unwrap();
    assert_eq!(forbidden.read().unwrap(), [0.5, f32::NEG_INFINITY, -1.0, f32::NEG_INFINITY]);
    assert_eq!(untouched.read().unwrap(), scores);

    untouched.mix(&logits(&[1.5, 1.0, -1.0, 0.0]), 0.25).unwrap();
    assert_eq!(untouched.read().unwrap(), [0.75, 2.5, -1.0, 1.5]);
}

#[test]
fn a_key_decides_a_draw_and_draws_follow_the_distribution() {
    let probabilities: [f32; 4] = [0.5, 0.25, 0.2, 0.05];
    let scores = probabilities.map(f32::ln);
    let mut counts = [0.0f32; 4];
    for position in 0..2000 {
        let key = SampleKey { seed: 9, position, draw: 0 };
        let token = logits(&scores).sample(key).unwrap().read().unwrap();
        assert_eq!(logits(&scores).sample(key).unwrap().read().unwrap(), token);
        counts[token as usize] += 1.0;
    }
    for (count, probability) in counts.iter().zip(probabilities) {
        let deviation = (2000.0 * probability * (1.0 - probability)).sqrt();
        assert!((count - 2000.0 * probability).abs() < 4.0 * deviation, "{counts:?}");
    }
}

#[test]
fn xtc_acts_with_its_probability() {
    let scores = [3.0, 2.9, 0.0, -2.0];
    let excluded = (0..400).filter(|&position| {
        let mut logits = logits(&scores);
        logits.xtc(0.25, 0.1, &[], SampleKey { seed: 3, position, draw: 1 }).unwrap();
        logits.read().unwrap()[0] == f32::NEG_INFINITY
    });
    let excluded = excluded.count();
    assert!((65..=135).contains(&excluded), "{excluded} of 400");
}

#[test]
fn wrong_arguments_are_refused() {
    let refused = |step: &Step| {
        let error = step(&mut logits(&[1.0, 2.0])).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidInput, "{error}");
    };
    refused(&|logits| logits.bias(&[(2, 1.0)]));
    refused(&|logits| logits.forbid(&[7]));
    refused(&|logits| logits.allow(&[]));
    refused(&|logits| logits.logprobs(&[9]).map(drop));
    refused(&|logits| logits.top_p(0.0));
    refused(&|logits| logits.top_p(f32::NAN));
    refused(&|logits| logits.min_p(1.5, 1));
    refused(&|logits| logits.scale(f32::INFINITY));
    refused(&|logits| logits.xtc(2.0, 0.1, &[], SampleKey { seed: 0, position: 0, draw: 0 }));
    refused(&|logits| logits.penalise(&Penalties { tokens: &[0], repetition: 0.0, presence: 0.0, frequency: 0.0 }));
    refused(&|logits| logits.mix(&MlxLogits::new(Array::from_slice(&[1f32], &[1]), 1, Arc::default()), 0.5));
}
