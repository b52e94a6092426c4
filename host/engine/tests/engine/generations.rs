//! Generations by a chain: what comes, in which order, and what it costs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use wasmlx_backend::fake::{END, FakeScript, Gate, VOCABULARY_SIZE};
use wasmlx_engine::{Chain, ChainPenalties, EngineErrorKind, Event, FinishReason, GenerateRequest, Sampling};

use crate::reference::reference;
use crate::support::{answer, bytes, collect, context, load_request, model, request, start, wait};

fn sampled(chain: Chain, seed: u64, max_tokens: usize) -> GenerateRequest {
    GenerateRequest { sampling: Sampling::Chain(chain), seed, ..request(max_tokens) }
}

/// Everything that a chain can do.
fn whole_chain() -> Chain {
    Chain {
        bias: vec![(65, 2.0), (66, -3.0)],
        penalties: Some(ChainPenalties { repetition: 1.3, presence: 0.2, frequency: 0.1, window: 5 }),
        top_p: Some(0.95),
        min_p: Some((0.02, 3)),
        xtc: Some((0.5, 0.01)),
        xtc_special: vec![END],
        top_k: Some(40),
        temperature: 0.8,
        seed: None,
    }
}

#[test]
fn ids_are_those_of_a_loop_without_look_ahead() {
    for chain in [Chain::greedy(), Chain { temperature: 1.0, ..Chain::greedy() }, whole_chain()] {
        let (model, _) = model(FakeScript::new());
        let expected = reference(FakeScript::new(), &bytes("a prompt"), &mut sampled(chain.clone(), 7, 50), 0);
        let got = answer(&mut context(&model, "a prompt"), sampled(chain, 7, 50));
        assert_eq!(got.tokens, expected.tokens);
        assert_eq!(got.finished.reason, FinishReason::Length);
    }
}

#[test]
fn a_seed_decides_and_the_chains_own_seed_goes_before() {
    let (model, _) = model(FakeScript::new());
    let warm = Chain { temperature: 1.0, ..Chain::greedy() };
    let run = |chain: &Chain, seed| answer(&mut context(&model, "x"), sampled(chain.clone(), seed, 20)).tokens;
    assert_eq!(run(&warm, 1), run(&warm, 1));
    assert_ne!(run(&warm, 1), run(&warm, 2));
    assert_eq!(run(&Chain { seed: Some(1), ..warm.clone() }, 2), run(&warm, 1));
}

#[test]
fn a_prompt_in_chunks_is_the_prompt_at_once() {
    let whole = "a prompt of some length";
    let at_once = {
        let (model, probe) = model(FakeScript::new());
        let mut context = context(&model, whole);
        let got = answer(&mut context, request(10));
        (got.tokens, probe.caches())
    };
    for chunk in [1, 2, 5, whole.len() - 1, whole.len()] {
        let (model, probe) = model(FakeScript::new());
        let mut context = context(&model, whole);
        let got = answer(&mut context, GenerateRequest { prefill_chunk: chunk, ..request(10) });
        assert_eq!((got.tokens, probe.caches()), at_once, "chunks of {chunk}");
        let passes = whole.len().div_ceil(chunk) as u64 + 9;
        assert_eq!(probe.passes(), passes, "chunks of {chunk}: the prompt's, and one for each token but the last");
    }
}

#[test]
fn a_token_costs_one_reading_and_one_handing_over() {
    let (model, _) = model(FakeScript::new());
    let got = answer(&mut context(&model, "abc"), request(30));
    let counters = got.finished.counters;
    assert_eq!((counters.reads, counters.evals, counters.forwards), (30, 30, 30));
    assert_eq!((got.finished.wasted_forwards, got.finished.boundary_calls), (0, 0));
}

#[test]
fn an_end_token_ends_the_answer_and_its_look_ahead_is_undone() {
    let (model, probe) = model(FakeScript::new().says(3, &[65, 66, END]));
    let mut context = context(&model, "abc");
    let got = answer(&mut context, GenerateRequest { end_tokens: vec![END], ..request(30) });
    assert_eq!((got.tokens.as_slice(), got.text.as_str()), ([65, 66, END].as_slice(), "AB"));
    assert_eq!(got.finished.reason, FinishReason::Stop);
    assert_eq!(got.finished.wasted_forwards, 1);
    assert_eq!(context.text(), "abcAB", "an end token is no part of the text");
    assert_eq!(context.tokens(), bytes("abcAB"));
    assert_eq!(probe.caches(), [bytes("abcAB")]);
}

#[test]
fn without_end_tokens_the_model_is_not_heard() {
    let (model, _) = model(FakeScript::new().says(3, &[65, END, 66]));
    let got = answer(&mut context(&model, "abc"), request(3));
    assert_eq!((got.tokens.as_slice(), got.text.as_str()), ([65, END, 66].as_slice(), "A<|end|>B"));
}

#[test]
fn a_stop_string_is_cut_across_tokens() {
    let (model, probe) = model(FakeScript::new().says(1, &bytes("one, two, three")));
    let mut context = context(&model, ">");
    let stops = vec![", th".to_owned(), "zzz".to_owned()];
    let mut generation = context.generate(GenerateRequest { stops, ..request(30) }).unwrap();
    let mut shown = String::new();
    let mut texts = Vec::new();
    while let Some(event) = generation.blocking_next() {
        match event.unwrap() {
            Event::Token { text, .. } => {
                shown.push_str(&text);
                texts.push(text);
                assert!("one, two".starts_with(&shown), "{shown:?} has part of the stop string");
            }
            Event::Finished(finished) => {
                assert_eq!(finished.reason, FinishReason::Stop);
                assert_eq!(finished.tokens, bytes("one, two, th"));
            }
        }
    }
    assert_eq!(shown, "one, two");
    assert_eq!(texts[3..7], ["", "", "", ", tw"], "what may begin a stop string waits, and comes when it is none");
    assert_eq!(context.tokens(), bytes(">one, two"), "the context holds what was shown");
    assert_eq!(probe.caches(), [bytes(">one, two, t")], "the device follows when the context is used again");
}

#[test]
fn the_rest_of_a_cut_token_stays_as_text() {
    // `<tool>` is one token, and the stop string ends within its text.
    let (model, _) = model(FakeScript::new().says(1, &[65, 258]));
    let mut context = context(&model, ">");
    let got = answer(&mut context, GenerateRequest { stops: vec!["ool".into()], ..request(30) });
    assert_eq!(got.text, "A<t");
    assert_eq!(context.tokens(), bytes(">A<t"));
    assert_eq!(context.text(), ">A<t");
}

#[test]
fn half_a_character_is_never_shown() {
    let (model, _) = model(FakeScript::new().says(1, &bytes("1€2")));
    let mut context = context(&model, ">");
    let mut generation = context.generate(request(5)).unwrap();
    let mut texts = Vec::new();
    while let Some(Ok(Event::Token { text, .. })) = generation.blocking_next() {
        texts.push(text);
    }
    assert_eq!(texts, ["1", "", "", "€", "2"]);
    let got = answer(&mut self::context(&model, ">"), request(3));
    assert_eq!(got.text, "1\u{fffd}", "a character that stays half is shown as such at the end");
}

#[test]
fn text_held_back_comes_with_the_last_token_when_the_answer_ends() {
    let (model, _) = model(FakeScript::new().says(1, &bytes("one, t")).says(7, &[END]));
    let stop = || GenerateRequest { stops: vec![", th".into()], end_tokens: vec![END], ..request(30) };
    assert_eq!(answer(&mut context(&model, ">"), stop()).text, "one, t");
    assert_eq!(answer(&mut context(&model, ">"), GenerateRequest { max_tokens: 5, ..stop() }).text, "one, ");
}

#[test]
fn no_tokens_asked_for_means_the_prompt_is_read_and_nothing_else() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "abcdef");
    let got = answer(&mut context, request(0));
    assert_eq!((got.tokens.len(), got.finished.reason), (0, FinishReason::Length));
    assert_eq!(probe.caches(), [bytes("abcde")], "the last token is left for the generation to come");
    assert_eq!(answer(&mut context, request(3)).finished.usage.cached_tokens, 5);
}

#[test]
fn a_full_context_ends_the_answer_and_refuses_a_prompt() {
    let (model, _) = model(FakeScript::new().context_length(10));
    let mut context = context(&model, "12345678");
    let got = answer(&mut context, request(100));
    assert_eq!((got.tokens.len(), got.finished.reason), (2, FinishReason::Length));
    assert_eq!(context.len(), 10);
    let full = context.generate(request(100)).map(|_| ()).unwrap_err();
    assert_eq!(full.kind(), EngineErrorKind::ContextFull, "{full}");
    let mut other = model.new_context();
    let long = other.set_tokens(&[1; 11]).unwrap_err();
    assert_eq!(long.kind(), EngineErrorKind::ContextFull, "{long}");
    assert!(other.is_empty(), "a refused prompt changes nothing");
}

#[test]
fn cancelling_stops_within_one_step() {
    let gate = Gate::new();
    // Pass 4 gives the fifth token; when it is read, pass 5 is queued already.
    let (model, probe) = model(FakeScript::new().hold_pass(4, &gate));
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(1000)).unwrap();
    gate.wait_until_reached();
    generation.cancel();
    gate.open();
    let got = collect(&mut generation).unwrap();
    assert_eq!(got.finished.reason, FinishReason::Cancelled);
    assert_eq!(got.tokens.len(), 5);
    assert_eq!(probe.passes(), 6, "no pass was queued after the cancellation");
    assert_eq!(got.finished.wasted_forwards, 1);
    assert_eq!(probe.caches()[0].len(), context.len() - 1);
}

#[test]
fn cancelling_while_the_prompt_is_read_stops_between_chunks() {
    let gate = Gate::new();
    let (model, probe) = model(FakeScript::new().hold_pass(1, &gate));
    let mut context = context(&model, "abcdefghij");
    let mut generation = context.generate(GenerateRequest { prefill_chunk: 2, ..request(10) }).unwrap();
    let token = generation.cancel_token();
    gate.wait_until_reached();
    token.cancel();
    gate.open();
    let got = collect(&mut generation).unwrap();
    assert_eq!((got.tokens.len(), got.finished.reason), (0, FinishReason::Cancelled));
    assert_eq!(probe.passes(), 2);
    assert_eq!(probe.caches(), [bytes("abcd")], "what was read stays");
}

#[test]
fn a_dropped_generation_stops_and_leaves_what_was_received() {
    let gate = Gate::new();
    let (model, probe) = model(FakeScript::new().hold_pass(6, &gate));
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(1000)).unwrap();
    let first: Vec<u32> = (0..2).map(|_| token(generation.blocking_next())).collect();
    gate.wait_until_reached();
    drop(generation);
    assert_eq!(context.tokens(), [bytes("abc"), first].concat());
    gate.open();
    // The next generation ends the first one, and takes over its cache.
    let got = answer(&mut context, request(1));
    assert_eq!(probe.passes(), 9, "passes 0 to 6, one ahead of it, and one for the new token");
    assert_eq!(got.finished.usage.cached_tokens, 4, "two tokens of the answer, the last of them read again");
}

fn token(event: Option<Result<Event, wasmlx_engine::EngineError>>) -> u32 {
    match event {
        Some(Ok(Event::Token { id, .. })) => id,
        other => panic!("expected a token, got {other:?}"),
    }
}

#[test]
fn two_generations_take_turns_and_do_not_change_each_other() {
    let warm = || sampled(Chain { temperature: 1.0, ..whole_chain() }, 3, 40);
    let alone = |text: &str| {
        let (model, _) = model(FakeScript::new());
        answer(&mut context(&model, text), warm()).tokens
    };
    let gate = Gate::new();
    let order = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&order);
    let hashed = |tokens: &[u32]| -> Vec<f32> {
        let sum = tokens.iter().fold(17_u32, |sum, &token| sum.wrapping_mul(31).wrapping_add(token));
        (0..VOCABULARY_SIZE).map(|token| (sum.wrapping_add(token).wrapping_mul(2_654_435_761) >> 24) as f32).collect()
    };
    let script = FakeScript::new().hold_pass(0, &gate).scores(move |tokens| {
        log.lock().unwrap().push(char::from_u32(tokens[0]).unwrap());
        hashed(tokens)
    });
    let (model, _) = model(script);
    let (mut one, mut two) = (context(&model, "1 one"), context(&model, "2 two"));
    let mut first = one.generate(request(10)).unwrap();
    gate.wait_until_reached();
    let mut second = two.generate(request(10)).unwrap();
    gate.open();
    collect(&mut first).unwrap();
    collect(&mut second).unwrap();
    // The first one queued two passes before the second one was asked for.
    assert_eq!(*order.lock().unwrap(), format!("11{}22", "12".repeat(8)));

    let (model, _) = self::model(FakeScript::new());
    let (mut one, mut two) = (context(&model, "1 one"), context(&model, "2 two"));
    let (mut first, mut second) = (one.generate(warm()).unwrap(), two.generate(warm()).unwrap());
    assert_eq!(collect(&mut first).unwrap().tokens, alone("1 one"));
    assert_eq!(collect(&mut second).unwrap().tokens, alone("2 two"));
}

#[test]
fn logprobs_are_those_of_the_model_before_the_chain() {
    // Scores of 1 for each token but two.
    let script = || {
        FakeScript::new().scores(|_| {
            let mut scores = vec![1.0; VOCABULARY_SIZE as usize];
            (scores[65], scores[66]) = (4.0, 3.0);
            scores
        })
    };
    let (model, _) = model(script());
    let chain = Chain { bias: vec![(66, 10.0)], ..Chain::greedy() };
    let mut context = context(&model, "x");
    let ask = GenerateRequest { sampling: Sampling::Chain(chain), logprobs: Some(1), ..request(2) };
    let mut generation = context.generate(ask).unwrap();
    let sum = (4.0_f32.exp() + 3.0_f32.exp() + 258.0 * 1.0_f32.exp()).ln();
    for _ in 0..2 {
        match generation.blocking_next() {
            Some(Ok(Event::Token { id: 66, logprobs: Some(logprobs), .. })) => {
                assert!((logprobs.logprob - (3.0 - sum)).abs() < 1e-5);
                assert_eq!(logprobs.top.len(), 1);
                assert_eq!(logprobs.top[0].0, 65);
                assert!((logprobs.top[0].1 - (4.0 - sum)).abs() < 1e-5);
            }
            other => panic!("expected token 66 with its log-probabilities, got {other:?}"),
        }
    }
}

#[test]
fn batches_take_what_is_there() {
    let (model, _) = model(FakeScript::new().says(1, &bytes("abcdef")));
    let mut context = context(&model, ">");
    let mut generation = context.generate(request(6)).unwrap();
    let mut events = Vec::new();
    wait(async {
        loop {
            let batch = generation.next_batch(4).await.unwrap();
            assert!(batch.len() <= 4);
            if batch.is_empty() {
                break;
            }
            events.extend(batch);
        }
    });
    assert_eq!(events.len(), 7);
    assert!(matches!(events[6], Event::Finished(_)));
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "x");
    let chains = [
        (Chain { temperature: -1.0, ..Chain::greedy() }, "temperature"),
        (Chain { temperature: f32::NAN, ..Chain::greedy() }, "temperature"),
        (Chain { top_p: Some(0.0), ..Chain::greedy() }, "top-p"),
        (Chain { temperature: 1e-39, ..Chain::greedy() }, "temperature"),
        (Chain { temperature: f32::INFINITY, ..Chain::greedy() }, "temperature"),
        (Chain { bias: vec![(1, f32::INFINITY)], ..Chain::greedy() }, "bias"),
        (Chain { xtc_special: vec![1 << 20], ..Chain::greedy() }, "xtc"),
        (Chain { min_p: Some((1.5, 1)), ..Chain::greedy() }, "min-p"),
        (Chain { xtc: Some((0.5, 0.7)), ..Chain::greedy() }, "xtc"),
        (Chain { bias: vec![(VOCABULARY_SIZE, 1.0)], ..Chain::greedy() }, "biased token"),
    ];
    for (chain, name) in chains {
        let error = context.generate(sampled(chain, 0, 5)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = context.generate(GenerateRequest { prefill_chunk: 0, ..request(5) }).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("prefill_chunk"), "{error}");
    let error = context.generate(GenerateRequest { stops: vec![String::new()], ..request(5) }).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    assert_eq!(probe.passes(), 0);
}

#[test]
fn a_generation_goes_on_while_commands_pour_in() {
    let gate = Gate::new();
    let (engine, _) = start(FakeScript::new().hold_pass(0, &gate));
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let mut context = context(&model, "a prompt");
    let mut generation = context.generate(request(20)).unwrap();
    gate.wait_until_reached();
    let mut asked: Vec<_> = (0..200).map(|_| Box::pin(engine.stats())).collect();
    for asked in &mut asked {
        assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    gate.open();
    let passes: BTreeSet<u64> = asked.into_iter().map(|asked| wait(asked).unwrap().counters.forwards).collect();
    assert!(passes.len() > 2, "a step now and then, not only before and after: {passes:?}");
    collect(&mut generation).unwrap();
}

#[test]
fn work_is_over_once_the_device_has_let_go_of_it() {
    let gate = Gate::new();
    let (model, _) = model(FakeScript::new().hold_pass(0, &gate));
    let (mut dropped, mut other) = (context(&model, "one"), context(&model, "another"));
    let generation = dropped.generate(request(20)).unwrap();
    let work = generation.work();
    gate.wait_until_reached();
    drop(generation);
    assert!(!work.is_over(), "the device is in the midst of a step");
    gate.open();
    // They take turns, so the first one has had its last by then.
    answer(&mut other, request(3));
    assert!(work.is_over());
}
