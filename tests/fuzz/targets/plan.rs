//! What a policy's plan may mean. It is refused before anything is computed, or the engine runs it to the answer's end.

use wasmlx_engine::{Chain, ChainPenalties, EngineErrorKind, Event, GenerateRequest, Sampling};
use wasmlx_text::Segment;

use super::Bytes;
use super::choices::MODEL;

/// How many tokens an answer has: enough for penalties to find some of its own.
const MOST: usize = 8;

/// The first byte says which operations there are; their numbers follow, any bits that a guest can write.
pub(super) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let wanted = bytes.next();
    let mut next = |operation: u8| (wanted >> operation & 1 == 1).then(|| number(&mut bytes));
    let (top_p, min_p, xtc, temperature) = (next(0), next(1), next(2), next(3));
    let (repetition, top_k, seed) = (next(4), next(5), next(6));
    let bias = next(7).map(|first| (0..=bytes.next() % 4).map(|_| (bytes.next_u32() % 300, first)).collect());
    let chain = Chain {
        bias: bias.unwrap_or_default(),
        penalties: repetition.map(|repetition| ChainPenalties {
            repetition,
            presence: number(&mut bytes),
            frequency: number(&mut bytes),
            window: bytes.next_u32() % 64,
        }),
        top_p,
        min_p: min_p.map(|p| (p, bytes.next_u32() % 300)),
        xtc: xtc.map(|probability| (probability, number(&mut bytes))),
        xtc_special: vec![256],
        top_k: top_k.map(f32::to_bits),
        temperature: temperature.unwrap_or(1.0),
        seed: seed.map(|seed| u64::from(seed.to_bits())),
    };
    let mut context = MODEL.new_context();
    context.prompt(&[Segment::Trusted("Once".to_owned())]).unwrap();
    let sampling = Sampling::Chain(chain.clone());
    let request = GenerateRequest { sampling, max_tokens: MOST, end_tokens: vec![256], ..GenerateRequest::default() };
    let mut generation = match context.generate(request) {
        Ok(generation) => generation,
        Err(error) => return assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{chain:?}: {error}"),
    };
    let mut is_over = false;
    while let Some(event) = generation.blocking_next() {
        match event {
            Ok(Event::Token { id, .. }) => assert!(id < MODEL.info().vocabulary_size, "{chain:?} chose {id}"),
            Ok(Event::Finished(finished)) => {
                assert!(finished.tokens.len() <= MOST, "{finished:?}");
                is_over = true;
            }
            Err(error) => panic!("{chain:?}: {error}"),
        }
    }
    assert!(is_over, "{chain:?} has no end");
}

/// Mostly a number of the size that parameters have; sometimes any bits, those that are no number among them.
fn number(bytes: &mut Bytes<'_>) -> f32 {
    match bytes.next() {
        255 => f32::from_bits(bytes.next_u32()),
        byte => f32::from(byte) / 64.0 - 1.0,
    }
}
