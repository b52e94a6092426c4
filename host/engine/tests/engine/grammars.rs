//! Answers that must look like something: whatever the model would say, they do.

use std::ops::ControlFlow;

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};
use wasmlx_backend::fake::{END, FakeBackend, FakeScript};
use wasmlx_backend::{Backend, Input, LoadOptions, Logits, SampleKey};
use wasmlx_engine::{
    Chain, Choice, Context, EngineErrorKind, FinishReason, GenerateRequest, Policy, PolicyError, Sampling, StepInfo,
};
use wasmlx_text::{Grammar, GrammarSource};

use crate::support::{Answer, answer, bytes, collect, context, model, tokenizer};

fn regex(expression: &str) -> GrammarSource {
    GrammarSource::Regex(expression.to_owned())
}

fn grammar(context: &Context, source: &GrammarSource) -> Grammar {
    Grammar::compile(context.model().tokenizer().unwrap(), source).unwrap()
}

fn request(context: &Context, source: &GrammarSource, max_tokens: usize) -> GenerateRequest {
    let grammar = Some(grammar(context, source));
    GenerateRequest { grammar, max_tokens, end_tokens: vec![END], ..GenerateRequest::default() }
}

/// A policy that is one function.
struct Steps<F>(F);

impl<F> Policy for Steps<F>
where
    F: FnMut(&StepInfo<'_>, Box<dyn Logits>) -> Choice + Send,
{
    fn max_backtrack(&self) -> usize {
        8
    }

    fn step(&mut self, info: &StepInfo<'_>, logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        Ok((self.0)(info, logits))
    }
}

fn policy(step: impl FnMut(&StepInfo<'_>, Box<dyn Logits>) -> Choice + Send + 'static) -> Sampling {
    Sampling::Policy(Box::new(Steps(step)))
}

fn best(mut logits: Box<dyn Logits>) -> Choice {
    Choice::Token(logits.argmax().unwrap())
}

#[test]
fn the_model_chooses_among_what_the_grammar_allows() {
    // It would say something else altogether, and go on.
    let (model, _) = model(FakeScript::new().says(3, &bytes("no way, never ")));
    let mut context = context(&model, "abc");
    let request = request(&context, &regex("(yes|no|maybe)( indeed)?"), 40);
    let got = answer(&mut context, request);
    // ` way` is not allowed after `no`, so an end or ` indeed` comes.
    assert!(["no", "no indeed"].contains(&got.text.as_str()), "{}", got.text);
    assert_eq!(got.finished.reason, FinishReason::Stop);
}

#[test]
fn an_answer_ends_where_its_grammar_does() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    let source = regex("[0-9]{4}");
    // Without end tokens too, and with no token more than its text has.
    for end_tokens in [vec![END], Vec::new()] {
        let request = GenerateRequest { end_tokens, ..request(&context, &source, 40) };
        let got = answer(&mut context, request);
        assert_eq!((got.tokens.len(), got.finished.reason), (4, FinishReason::Stop));
        assert_eq!(got.finished.counters.reads, 4);
    }
    let nothing = request(&context, &regex(""), 40);
    let got = answer(&mut context, GenerateRequest { end_tokens: Vec::new(), ..nothing });
    assert_eq!((got.text.as_str(), got.finished.reason), ("", FinishReason::Stop));
}

#[test]
fn an_end_token_is_drawn_only_where_the_answer_is_whole() {
    // The model wants to end at once, and at each token.
    let (model, _) = model(FakeScript::new().says(3, &[END; 20]));
    let mut context = context(&model, "abc");
    let got = {
        let request = request(&context, &regex("[ab]{3,9}"), 40);
        answer(&mut context, request)
    };
    assert_eq!((got.tokens.len(), got.tokens[3]), (4, END), "{:?}", got.tokens);
    assert_eq!(got.text.len(), 3);
}

#[test]
fn an_answer_that_is_cut_says_so() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    let request = request(&context, &regex("[0-9]{30}"), 10);
    let got = answer(&mut context, request);
    assert_eq!((got.tokens.len(), got.finished.reason), (10, FinishReason::Length));
}

#[test]
fn what_a_policy_forces_must_be_allowed() {
    let source = regex("(cat|dog)s? (runs|sleeps)");
    let (model, _) = model(FakeScript::new().says(3, &bytes("dog runs")));
    let mut context = context(&model, "abc");
    let whole = policy(|_, _| Choice::Forced(bytes("dogs sleeps")));
    let forced = GenerateRequest { sampling: whole, ..request(&context, &source, 40) };
    let got = answer(&mut context, forced);
    assert_eq!((got.text.as_str(), got.finished.reason), ("dogs sleeps", FinishReason::Stop));

    type Step = fn(&StepInfo<'_>, Box<dyn Logits>) -> Choice;
    let broken: [(Step, &str); 5] = [
        (|_, _| Choice::Forced(bytes("dodo")), "the token 100"),
        (|_, _| Choice::Forced(vec![END]), "the token 256"),
        (|info, logits| if info.generated < 4 { best(logits) } else { Choice::Stop }, "ended the answer"),
        (
            |info, logits| if info.generated < 4 { best(logits) } else { Choice::Backtrack(2, bytes("x")) },
            "the token 120",
        ),
        // Minus infinity times -1 is the best of all scores.
        (
            |_, mut logits| {
                logits.scale(-1.0).unwrap();
                best(logits)
            },
            "does not allow",
        ),
    ];
    for (step, message) in broken {
        let request = GenerateRequest { sampling: policy(step), ..request(&context, &source, 40) };
        let error = collect(&mut context.generate(request).unwrap()).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::PolicyFailed, "{error}");
        assert!(
            error.to_string().contains("broke the request's grammar: it") && error.to_string().contains(message),
            "{error}"
        );
        context.set_tokens(&bytes("abc")).unwrap();
    }
}

#[test]
fn a_grammar_goes_back_with_the_tokens() {
    let (model, _) = model(FakeScript::new().says(3, &bytes("cats run")));
    let mut context = context(&model, "abc");
    let mut step = 0;
    let sampling = policy(move |_, logits| {
        step += 1;
        match step {
            // After `cats`, `dog` in its place.
            5 => Choice::Backtrack(4, bytes("dog")),
            6 => Choice::Forced(bytes(" ")),
            7 => Choice::Backtrack(1, Vec::new()),
            _ => best(logits),
        }
    });
    let source = regex("(cat|dog)(s| )(runs|sleeps)");
    let request = GenerateRequest { sampling, ..request(&context, &source, 60) };
    let text = answer(&mut context, request).text;
    assert!(Regex::new("^dog[s ](runs|sleeps)$").unwrap().is_match(&text), "{text}");
}

#[test]
fn a_chain_that_leaves_nothing_fails() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    let chain = Chain { bias: vec![(97, f32::NEG_INFINITY)], ..Chain::greedy() };
    let request = GenerateRequest { sampling: Sampling::Chain(chain), ..request(&context, &regex("aaa"), 40) };
    let error = collect(&mut context.generate(request).unwrap()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::GrammarFailed, "{error}");
    assert!(error.to_string().contains("biases"), "{error}");
}

#[test]
fn a_grammar_too_complex_fails_its_own_answer() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    // Each byte of it is more work than the one before.
    let ambiguous = GrammarSource::Lark(r#"start: start start | "a""#.to_owned());
    let bomb = GenerateRequest { end_tokens: Vec::new(), ..request(&context, &ambiguous, 4000) };
    let error = collect(&mut context.generate(bomb).unwrap()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::GrammarFailed);
    assert!(error.to_string().contains("too complex"), "{error}");
    let fine = request(&context, &regex("b{3}"), 40);
    assert_eq!(answer(&mut context, fine).text, "bbb");
}

#[test]
fn a_grammar_is_of_one_models_tokens() {
    let (model, _) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    let other = Grammar::compile(&tokenizer(), &regex("a")).unwrap();
    let request = GenerateRequest { grammar: Some(other), ..GenerateRequest::default() };
    let error = context.generate(request).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_grammar_may_begin_after_a_marker() {
    // It thinks, would end before it has, and would answer with more thoughts.
    let said = [bytes("hm"), vec![END], bytes("m</think>hmm")].concat();
    let (model, _) = model(FakeScript::new().says(3, &said));
    let mut context = context(&model, "abc");
    let source = regex("[0-9]{2}");
    let after = grammar(&context, &source).after("</think>");
    let request = GenerateRequest { grammar: Some(after), ..request(&context, &source, 60) };
    let got = answer(&mut context, request);
    assert_eq!(got.finished.reason, FinishReason::Stop);
    assert!(!got.tokens.contains(&END));
    let (thought, answer) = got.text.split_once("</think>").unwrap();
    assert!(thought.starts_with("hm") && thought.ends_with('m'), "{thought}");
    assert!(Regex::new("^[0-9]{2}$").unwrap().is_match(answer), "{answer}");
}

/// What an answer should be, by a loop that looks nothing ahead, keeps no cache, and begins its grammar anew for
/// each token.
fn unpipelined(script: FakeScript, grammar: &Grammar, chain: &Chain, seed: u64, most: usize) -> Vec<u32> {
    let mut backend = FakeBackend::new(script);
    let model = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    let mut tokens = bytes("abc");
    for _ in 0..most {
        let mut matcher = grammar.matcher().unwrap();
        tokens[3..].iter().for_each(|&token| assert!(matcher.accept(token).unwrap()));
        if matcher.is_complete() {
            break;
        }
        let mut mask = matcher.mask().unwrap();
        if matcher.is_accepting().unwrap() {
            mask.resize(END as usize / 32 + 1, 0);
            mask[END as usize / 32] |= 1 << (END % 32);
        }
        let mut logits = model.forward(Input::Ids(&tokens), &mut *model.new_cache()).unwrap();
        logits.allow_mask(&mask).unwrap();
        let key = SampleKey { seed, position: tokens.len() as u32, draw: 0 };
        let token = chain.sample(logits, &tokens, key).unwrap().read().unwrap();
        tokens.push(token);
        if token == END {
            break;
        }
    }
    tokens.split_off(3)
}

/// The answer under a grammar, checked against the loop above.
fn checked(script: impl Fn() -> FakeScript, source: &GrammarSource, chain: Chain, seed: u64, most: usize) -> Answer {
    let (model, _) = model(script());
    let mut context = context(&model, "abc");
    let grammar = grammar(&context, source);
    let expected = unpipelined(script(), &grammar, &chain, seed, most);
    let request = || GenerateRequest { grammar: Some(grammar.clone()), seed, ..request(&context, source, most) };
    let by_chain = request();
    let by_policy = {
        let chain = chain.clone();
        let mut all = Vec::new();
        let sampling = policy(move |info, logits| {
            all.extend_from_slice(info.new);
            let key = SampleKey { seed: info.seed, position: info.position, draw: 0 };
            Choice::Token(chain.sample(logits, &all, key).unwrap())
        });
        GenerateRequest { sampling, ..request() }
    };
    let got = answer(&mut context, GenerateRequest { sampling: Sampling::Chain(chain), ..by_chain });
    assert_eq!(got.tokens, expected);
    context.set_tokens(&bytes("abc")).unwrap();
    assert_eq!(answer(&mut context, by_policy).tokens, expected);
    got
}

/// Expressions of letters, classes and a euro sign, which is three tokens.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["a", "b", "€", "[a-f]", "[^a]", "[0-9]{2}", "xyz", "\\n", "(é|e)"]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join("|"))),
            (inner.clone(), prop::sample::select(vec!["?", "*", "+", "{1,3}"]))
                .prop_map(|(part, times)| format!("({part}){times}")),
        ]
    })
}

/// Schemas whose texts are bounded, so that each answer can be whole.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        (-50_i64..50, 0_i64..200)
            .prop_map(|(least, more)| json!({"type": "integer", "minimum": least, "maximum": least + more})),
        (0_u64..3, 0_u64..4)
            .prop_map(|(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})),
        prop::collection::vec("[a-z\"\\\\€]{0,4}", 1..4).prop_map(|values| json!({"enum": values})),
        Just(json!({"const": {"a": [1, "x"]}})),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0_u64..2, 0_u64..3)
                .prop_map(|(items, least, more)| json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|options| json!({"anyOf": options})),
            prop::collection::vec((inner, any::<bool>()), 0..4).prop_map(|fields| {
                let name = |index: usize| format!("field {index}");
                let required: Vec<String> =
                    fields.iter().enumerate().filter(|(_, field)| field.1).map(|(index, _)| name(index)).collect();
                let properties: serde_json::Map<String, Value> =
                    fields.into_iter().enumerate().map(|(index, field)| (name(index), field.0)).collect();
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
            }),
        ]
    })
}

/// Whether a value is of a schema of those above.
fn is_valid(value: &Value, schema: &Value) -> bool {
    if let Some(options) = schema["anyOf"].as_array() {
        return options.iter().any(|option| is_valid(value, option));
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(value);
    }
    if let Some(constant) = schema.get("const") {
        return value == constant;
    }
    let within = |number: i64, least: &str, most: &str| {
        schema[least].as_i64().is_none_or(|least| number >= least)
            && schema[most].as_i64().is_none_or(|most| number <= most)
    };
    match (schema["type"].as_str().unwrap(), value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) => true,
        // As JSON Schema has it, a number without a fraction is an integer: so is `-0`, which serde_json reads as -0.0.
        ("integer", Value::Number(number)) => number
            .as_i64()
            .or(number.as_f64().filter(|number| *number == 0.0).map(|_| 0))
            .is_some_and(|number| within(number, "minimum", "maximum")),
        ("string", Value::String(text)) => within(text.chars().count() as i64, "minLength", "maxLength"),
        ("array", Value::Array(items)) => {
            within(items.len() as i64, "minItems", "maxItems")
                && items.iter().all(|item| is_valid(item, &schema["items"]))
        }
        ("object", Value::Object(fields)) => {
            let has = |name: &Value| fields.contains_key(name.as_str().unwrap());
            schema["required"].as_array().unwrap().iter().all(has)
                && fields
                    .iter()
                    .all(|(name, field)| schema["properties"].get(name).is_some_and(|schema| is_valid(field, schema)))
        }
        _ => false,
    }
}

fn chains() -> impl Strategy<Value = Chain> {
    (prop_oneof![Just(0.0_f32), Just(1.0), Just(3.0)], any::<bool>(), prop::option::of(1_u32..6)).prop_map(
        |(temperature, filters, window)| Chain {
            temperature,
            top_p: filters.then_some(0.9),
            penalties: window.map(|window| wasmlx_engine::ChainPenalties {
                repetition: 1.2,
                window,
                ..Default::default()
            }),
            ..Chain::greedy()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_whole_answer_matches_its_expression(
        expression in expressions(), chain in chains(), seed: u64, model_seed: u64,
    ) {
        let script = || FakeScript::new().seed(model_seed);
        let got = checked(script, &regex(&expression), chain, seed, 60);
        if got.finished.reason == FinishReason::Stop {
            let whole = Regex::new(&format!("^(?s:{expression})$")).unwrap();
            prop_assert!(whole.is_match(&got.text), "{:?} is not of {expression}", got.text);
        }
    }

    #[test]
    fn every_whole_answer_is_of_its_schema(schema in schemas(), chain in chains(), seed: u64, model_seed: u64) {
        let script = || FakeScript::new().seed(model_seed);
        let got = checked(script, &GrammarSource::JsonSchema(schema.clone()), chain, seed, 900);
        prop_assert_eq!(got.finished.reason, FinishReason::Stop);
        let value: Value = serde_json::from_str(&got.text).map_err(|error| {
            TestCaseError::fail(format!("{:?}: {error}", got.text))
        })?;
        prop_assert!(is_valid(&value, &schema), "{} is not of {schema}", got.text);
    }
}
