//! What a generation should give, by a loop that looks nothing ahead, keeps no cache and streams nothing.

use std::ops::ControlFlow;

use wasmlx_backend::fake::{FakeBackend, FakeScript};
use wasmlx_backend::{Backend, Input, LoadOptions, SampleKey};
use wasmlx_engine::{Choice, FinishReason, GenerateRequest, Sampling, StepInfo};

use crate::support::tokenizer;

#[derive(Debug, PartialEq)]
pub(crate) struct Expected {
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
    pub(crate) reason: FinishReason,
    /// Whether the policy ever went back.
    pub(crate) went_back: bool,
}

/// The answer to a prompt. A policy that breaks a rule ends the process, so give none that does.
pub(crate) fn reference(
    script: FakeScript,
    prompt: &[u32],
    request: &mut GenerateRequest,
    context_length: usize,
) -> Expected {
    let mut backend = FakeBackend::new(script);
    let model = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    let mut limit = prompt.len() + request.max_tokens;
    if context_length > 0 {
        limit = limit.min(context_length);
    }
    let mut tokens = prompt.to_vec();
    let mut told = 0;
    let mut went_back = false;
    let end = |tokens: &[u32], reason, went_back| {
        let answer = tokens[prompt.len()..].to_vec();
        let shown = match answer.last() {
            Some(last) if request_ends_at(&request.end_tokens, *last) => &answer[..answer.len() - 1],
            _ => &answer[..],
        };
        let text = tokenizer().decode(shown, false).unwrap();
        let text = match first_stop(&text, &request.stops) {
            Some(at) => text[..at].to_owned(),
            None => text,
        };
        Expected { tokens: answer, text, reason, went_back }
    };
    loop {
        if tokens.len() >= limit {
            return end(&tokens, FinishReason::Length, went_back);
        }
        let mut cache = model.new_cache();
        let logits = model.forward(Input::Ids(&tokens), &mut *cache).unwrap();
        let key = SampleKey { seed: request.seed, position: tokens.len() as u32, draw: 0 };
        let choice = match &mut request.sampling {
            Sampling::Chain(chain) => Choice::Token(chain.sample(logits, &tokens, key).unwrap()),
            Sampling::Policy(policy) => {
                let info = StepInfo {
                    position: tokens.len() as u32,
                    generated: (tokens.len() - prompt.len()) as u32,
                    new: &tokens[told..],
                    seed: request.seed,
                };
                told = tokens.len();
                policy.step(&info, logits).unwrap()
            }
        };
        let list = match choice {
            Choice::Token(token) => vec![token.read().unwrap()],
            Choice::Forced(list) => list,
            Choice::Backtrack(count, list) => {
                tokens.truncate(tokens.len() - count);
                told = told.min(tokens.len());
                went_back |= count > 0;
                list
            }
            Choice::Stop => return end(&tokens, FinishReason::Stop, went_back),
        };
        for id in list {
            tokens.push(id);
            let answer = &tokens[prompt.len()..];
            let is_end = request_ends_at(&request.end_tokens, id);
            let text = tokenizer().decode(answer, false).unwrap();
            if is_end || first_stop(settled(&text), &request.stops).is_some() {
                return end(&tokens, FinishReason::Stop, went_back);
            }
            if tokens.len() >= limit {
                return end(&tokens, FinishReason::Length, went_back);
            }
        }
    }
}

fn request_ends_at(end_tokens: &[u32], id: u32) -> bool {
    end_tokens.contains(&id)
}

/// The text without a character that is still half.
fn settled(text: &str) -> &str {
    text.trim_end_matches(char::REPLACEMENT_CHARACTER)
}

/// Where the stop string begins that ends first, the longest of those that end there.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    let ends = stops.iter().filter_map(|stop| text.find(stop.as_str()).map(|at| (at + stop.len(), at)));
    ends.min().map(|(_, at)| at)
}
