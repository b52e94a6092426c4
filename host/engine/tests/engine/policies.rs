//! Policies: the step protocol, what they may choose, how they fail.

use std::sync::{Arc, Mutex};

use wasmlx_backend::fake::{END, FakeScript, Gate};
use wasmlx_backend::{Logits, SampleKey};
use wasmlx_engine::{
    Chain, Choice, EngineErrorKind, Event, FinishReason, GenerateRequest, Policy, PolicyError, PolicyErrorKind,
    Sampling, SavedState, StepInfo,
};

use crate::support::{answer, bytes, collect, context, model, request, wait};

/// A policy that is one function.
struct Steps<F> {
    backtrack: usize,
    step: F,
}

impl<F> Policy for Steps<F>
where
    F: FnMut(&StepInfo<'_>, Box<dyn Logits>) -> Result<Choice, PolicyError> + Send,
{
    fn max_backtrack(&self) -> usize {
        self.backtrack
    }

    fn step(&mut self, info: &StepInfo<'_>, logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        (self.step)(info, logits)
    }

    fn save(&mut self) -> Result<Option<SavedState>, PolicyError> {
        Ok(Some(SavedState { version: 1, bytes: b"state".to_vec() }))
    }
}

fn steps(
    backtrack: usize,
    max_tokens: usize,
    step: impl FnMut(&StepInfo<'_>, Box<dyn Logits>) -> Result<Choice, PolicyError> + Send + 'static,
) -> GenerateRequest {
    let sampling = Sampling::Policy(Box::new(Steps { backtrack, step }));
    GenerateRequest { sampling, end_tokens: vec![END], ..request(max_tokens) }
}

fn best(mut logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
    Ok(Choice::Token(logits.argmax().unwrap()))
}

#[test]
fn a_chain_as_a_policy_chooses_the_same_and_reads_as_often() {
    let chain = Chain { top_k: Some(20), temperature: 0.9, ..Chain::greedy() };
    let native = {
        let (model, _) = model(FakeScript::new());
        let sampling = Sampling::Chain(chain.clone());
        answer(&mut context(&model, "abc"), GenerateRequest { sampling, seed: 5, ..request(30) })
    };
    let (model, _) = model(FakeScript::new());
    let policy = steps(0, 30, move |info, logits| {
        let key = SampleKey { seed: info.seed, position: info.position, draw: 0 };
        Ok(Choice::Token(chain.sample(logits, &[], key).unwrap()))
    });
    let asked = answer(&mut context(&model, "abc"), GenerateRequest { seed: 5, end_tokens: Vec::new(), ..policy });
    assert_eq!(asked.tokens, native.tokens);
    assert_eq!(asked.finished.counters.reads, native.finished.counters.reads);
    assert_eq!(asked.finished.counters.forwards, native.finished.counters.forwards);
    assert_eq!(asked.finished.counters.evals, 60, "the pass is handed over before its token is chosen, and the token");
    assert_eq!((asked.finished.boundary_calls, native.finished.boundary_calls), (30, 0));
}

#[test]
fn a_policy_that_reads_costs_a_reading_more() {
    let (model, _) = model(FakeScript::new());
    let policy = steps(0, 10, |_, mut logits| {
        assert!(logits.entropy().unwrap() > 0.0);
        best(logits)
    });
    assert_eq!(answer(&mut context(&model, "abc"), policy).finished.counters.reads, 20);
}

#[test]
fn a_policy_is_told_each_token_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let (model, _) = model(FakeScript::new().says(3, &bytes("0")).says(6, &bytes("4")));
    let policy = steps(2, 20, move |info, logits| {
        let mut log = log.lock().unwrap();
        log.push((info.position, info.generated, info.new.to_vec()));
        match log.len() {
            1 | 4 => best(logits),
            2 => Ok(Choice::Forced(bytes("12"))),
            3 => Ok(Choice::Backtrack(1, bytes("3"))),
            5 => Ok(Choice::Backtrack(2, Vec::new())),
            _ => Ok(Choice::Stop),
        }
    });
    let mut context = context(&model, "abc");
    let got = answer(&mut context, policy);
    let expected = [
        (3, 0, bytes("abc")),
        (4, 1, bytes("0")),
        (6, 3, bytes("12")),
        (6, 3, bytes("3")),
        (7, 4, bytes("4")),
        (5, 2, bytes("")),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!((got.text.as_str(), got.finished.reason), ("01", FinishReason::Stop));
    assert_eq!(context.text(), "abc01");
}

#[test]
fn forced_tokens_are_read_in_one_pass() {
    let (model, probe) = model(FakeScript::new());
    let policy = steps(0, 40, |info, logits| match info.generated {
        0 => Ok(Choice::Forced(bytes("a list of twenty-five ids"))),
        25 => best(logits),
        _ => Ok(Choice::Stop),
    });
    let got = answer(&mut context(&model, "abc"), policy);
    assert_eq!(got.tokens.len(), 26);
    assert_eq!(probe.passes(), 3);

    let policy = steps(0, 40, |info, logits| match info.generated {
        0 => Ok(Choice::Forced(bytes("a list of twenty-five ids"))),
        25 => best(logits),
        _ => Ok(Choice::Stop),
    });
    let again = answer(&mut context(&model, "abc"), GenerateRequest { prefill_chunk: 10, ..policy });
    assert_eq!(again.tokens, got.tokens);
    assert_eq!(probe.passes(), 8, "the prompt's, three for the list, and one ahead");
}

#[test]
fn forced_tokens_obey_end_tokens_stop_strings_and_the_most_tokens() {
    let (model, _) = model(FakeScript::new());
    let forced = |max_tokens| {
        let list = [bytes("one two"), vec![END], bytes("three")].concat();
        steps(0, max_tokens, move |_, _| Ok(Choice::Forced(list.clone())))
    };
    let ended = answer(&mut context(&model, "abc"), forced(40));
    assert_eq!((ended.text.as_str(), ended.finished.reason), ("one two", FinishReason::Stop));
    assert_eq!(ended.tokens.len(), 8);
    let full = answer(&mut context(&model, "abc"), forced(5));
    assert_eq!((full.text.as_str(), full.finished.reason), ("one t", FinishReason::Length));
    let stopped = answer(&mut context(&model, "abc"), GenerateRequest { stops: vec!["e t".into()], ..forced(40) });
    assert_eq!((stopped.text.as_str(), stopped.finished.reason), ("on", FinishReason::Stop));
}

#[test]
fn tokens_that_may_be_dropped_are_withheld() {
    let gate = Gate::new();
    let (model, _) = model(FakeScript::new().says(3, &bytes("abcdefgh")).hold_pass(4, &gate));
    let mut context = context(&model, "abc");
    let mut generation = context.generate(steps(3, 8, |_, logits| best(logits))).unwrap();
    // Four tokens were read before the gate.
    gate.wait_until_reached();
    let first = wait(generation.next_batch(100)).unwrap();
    assert_eq!(first, [Event::Token { id: 97, text: "a".into(), logprobs: None }]);
    gate.open();
    let mut text = String::from("a");
    while let Some(Ok(Event::Token { text: piece, .. })) = generation.blocking_next() {
        text.push_str(&piece);
    }
    assert_eq!(text, "abcdefgh", "at the end they come");
}

#[test]
fn going_back_undoes_half_characters_and_stop_strings() {
    let (model, _) = model(FakeScript::new());
    let policy = steps(4, 20, |info, _| {
        Ok(match info.generated {
            _ if info.new == bytes("ST") => Choice::Backtrack(1, bytes("€")),
            // Half a euro sign, then the beginning of the stop string in its place.
            0 => Choice::Forced([bytes("x"), vec![0xe2, 0x82]].concat()),
            3 => Choice::Backtrack(2, bytes("ST")),
            _ => Choice::Stop,
        })
    });
    let got = answer(&mut context(&model, "abc"), GenerateRequest { stops: vec!["STOP".into()], ..policy });
    assert_eq!(got.text, "xS€");
    assert_eq!(got.tokens, bytes("xS€"));
}

#[test]
fn a_broken_rule_fails_the_answer_and_says_which() {
    let broken: [(GenerateRequest, &str); 5] = [
        (steps(0, 9, |_, _| Ok(Choice::Forced(Vec::new()))), "empty list"),
        (steps(2, 9, |_, _| Ok(Choice::Backtrack(0, Vec::new()))), "empty list"),
        (steps(0, 9, |_, _| Ok(Choice::Forced(vec![260]))), "token 260"),
        (
            steps(
                1,
                9,
                |info, logits| if info.generated < 2 { best(logits) } else { Ok(Choice::Backtrack(2, vec![])) },
            ),
            "dropped 2 tokens",
        ),
        (
            steps(1, 9, |info, _| {
                Ok(if info.generated == 0 { Choice::Forced(vec![1]) } else { Choice::Backtrack(1, vec![2]) })
            }),
            "without end",
        ),
    ];
    for (request, message) in broken {
        let (model, _) = model(FakeScript::new());
        let mut context = context(&model, "abc");
        let error = collect(&mut context.generate(request).unwrap()).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::PolicyFailed);
        assert!(error.to_string().contains(message), "{error}");
        let rest = answer(&mut context, self::request(2));
        assert!(rest.finished.usage.cached_tokens >= 2, "what the device has read is good still");
    }
    let (model, probe) = model(FakeScript::new());
    let error = context(&model, "abc").generate(steps(65, 9, |_, logits| best(logits))).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
    assert_eq!(probe.passes(), 0);
}

#[test]
fn a_policys_failure_fails_its_own_answer_only() {
    let right = {
        let (model, _) = model(FakeScript::new());
        answer(&mut context(&model, "two"), request(30)).tokens
    };
    let gate = Gate::new();
    let (model, _) = model(FakeScript::new().hold_pass(0, &gate));
    let (mut one, mut two) = (context(&model, "one"), context(&model, "two"));
    let mut first = one
        .generate(steps(4, 30, |info, logits| match info.generated {
            5 => Err(PolicyError {
                kind: PolicyErrorKind::Trapped,
                component: "broken".into(),
                message: "unreachable code was reached".into(),
            }),
            _ => best(logits),
        }))
        .unwrap();
    gate.wait_until_reached();
    let mut second = two.generate(request(30)).unwrap();
    gate.open();
    let mut received = 0;
    let error = loop {
        match first.blocking_next() {
            Some(Ok(_)) => received += 1,
            Some(Err(error)) => break error,
            None => panic!("the answer ended without an error"),
        }
    };
    assert_eq!(received, 5, "what was chosen before is delivered");
    assert_eq!(error.kind(), EngineErrorKind::PolicyFailed);
    assert_eq!(error.to_string(), "the sampling policy broken trapped: unreachable code was reached");
    assert!(first.take_policy().is_some());
    assert_eq!(collect(&mut second).unwrap().tokens, right);
    answer(&mut one, request(5));
}

#[test]
fn a_policy_comes_back_at_the_end() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    let mut generation = context.generate(steps(0, 3, |_, logits| best(logits))).unwrap();
    assert!(generation.take_policy().is_none());
    collect(&mut generation).unwrap();
    let state = generation.take_policy().unwrap().save().unwrap().unwrap();
    assert_eq!(state.bytes, b"state");
    assert!(generation.take_policy().is_none());
}
