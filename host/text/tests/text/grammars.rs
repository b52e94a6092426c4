//! Grammars over tokens of every kind, and grammars that were written to do harm.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wasmlx_text::{Grammar, GrammarMatcher, GrammarSource, TextErrorKind, Tokenizer};

use crate::common::{Pair, config, from_files, trained};

fn regex(expression: &str) -> GrammarSource {
    GrammarSource::Regex(expression.to_owned())
}

fn any() -> &'static Tokenizer {
    &trained()[0].ours
}

fn has(mask: &[u32], token: u32) -> bool {
    mask.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
}

fn allowed(matcher: &mut GrammarMatcher) -> Vec<u32> {
    let mask = matcher.mask().unwrap();
    (0..mask.len() as u32 * 32).filter(|&token| has(&mask, token)).collect()
}

/// A text of tokens that the grammar allows, each chosen by the next number.
fn walk(tokenizer: &Tokenizer, matcher: &mut GrammarMatcher, choices: &[u16]) -> (Vec<u32>, String) {
    let mut tokens = Vec::new();
    for &choice in choices {
        let allowed = allowed(matcher);
        if allowed.is_empty() {
            break;
        }
        let token = allowed[choice as usize % allowed.len()];
        assert!(matcher.accept(token).unwrap());
        tokens.push(token);
    }
    let bytes: Vec<u8> = tokens.iter().flat_map(|&token| tokenizer.token_bytes(token).unwrap()).collect();
    (tokens, String::from_utf8(bytes).unwrap())
}

fn pairs() -> impl Iterator<Item = &'static Pair> {
    // One that strips the space before each word has words with none between them.
    trained()
        .iter()
        .filter(|pair| !pair.name.starts_with("WordPiece") && !pair.name.ends_with("word ends"))
        .chain(from_files())
}

#[test]
fn texts_are_of_their_grammar_over_tokens_of_every_kind() {
    for pair in pairs() {
        let grammar = Grammar::compile(&pair.ours, &regex("(the|a) (quick|lazy) (dog|fox)")).unwrap();
        for start in 0..20_u16 {
            let choices: Vec<u16> = (0..60).map(|index| start.wrapping_mul(7919).wrapping_add(index * 104)).collect();
            let mut matcher = grammar.matcher().unwrap();
            let (_, text) = walk(&pair.ours, &mut matcher, &choices);
            let words: Vec<&str> = text.split(' ').collect();
            let [article, what, animal] = words[..] else { panic!("{}: {text:?}", pair.name) };
            assert!(["the", "a"].contains(&article) && ["quick", "lazy"].contains(&what), "{}: {text:?}", pair.name);
            assert!(["dog", "fox"].contains(&animal) && matcher.is_complete(), "{}: {text:?}", pair.name);
            assert!(matcher.is_accepting().unwrap() && allowed(&mut matcher).is_empty());
        }
    }
}

#[test]
fn added_tokens_are_no_text() {
    for pair in pairs() {
        let quote = (0..pair.ours.vocab_size() as u32).find(|&id| pair.ours.token_bytes(id).as_deref() == Some(b"\""));
        // Some were trained on texts without any.
        let Some(quote) = quote else { continue };
        let source = GrammarSource::JsonSchema(json!({"type": "string"}));
        let mut string = Grammar::compile(&pair.ours, &source).unwrap().matcher().unwrap();
        assert!(string.accept(quote).unwrap());
        let mask = string.mask().unwrap();
        let marked = pair.ours.added_tokens().iter().filter(|token| pair.is_marker(token.id) && has(&mask, token.id));
        assert_eq!(marked.count(), 0, "{}", pair.name);
        for token in pair.ours.added_tokens().iter().filter(|token| pair.is_marker(token.id)) {
            assert!(!string.accept(token.id).unwrap(), "{}: {}", pair.name, token.content);
        }
    }
    // A Lark grammar asks for one by its name.
    let pair = &trained()[0];
    let mut named =
        Grammar::compile(&pair.ours, &GrammarSource::Lark(r#"start: "a" <tool>"#.into())).unwrap().matcher().unwrap();
    let a = allowed(&mut named)[0];
    assert!(named.accept(a).unwrap());
    assert_eq!(allowed(&mut named), [pair.ours.token_id("<tool>").unwrap()]);
}

#[test]
fn a_token_that_may_not_come_changes_nothing() {
    let mut matcher = Grammar::compile(any(), &regex("dog")).unwrap().matcher().unwrap();
    let before = matcher.mask().unwrap();
    let vocabulary = any().vocab_size() as u32;
    for token in
        [vocabulary, vocabulary + 1, u32::MAX].into_iter().chain((0..vocabulary).filter(|&id| !has(&before, id)))
    {
        assert!(!matcher.accept(token).unwrap(), "{token}");
    }
    assert_eq!(matcher.mask().unwrap(), before);
    assert!(!matcher.is_accepting().unwrap());
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn the_way_back_leads_where_the_way_came_from(choices: Vec<u16>, back in 0_usize..30, again: Vec<u16>) {
        let source = GrammarSource::JsonSchema(json!({
            "type": "array", "items": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}]}, "maxItems": 4
        }));
        let tokenizer = any();
        let grammar = Grammar::compile(tokenizer, &source).unwrap();
        let mut matcher = grammar.matcher().unwrap();
        let (tokens, _) = walk(tokenizer, &mut matcher, &choices);
        let kept = tokens.len().saturating_sub(back);
        matcher.rewind(back).unwrap();
        let mut fresh = grammar.matcher().unwrap();
        tokens[..kept].iter().for_each(|&token| assert!(fresh.accept(token).unwrap()));
        prop_assert_eq!(matcher.mask().unwrap(), fresh.mask().unwrap());
        prop_assert_eq!(walk(tokenizer, &mut matcher, &again), walk(tokenizer, &mut fresh, &again));
        prop_assert_eq!(matcher.is_accepting().unwrap(), fresh.is_accepting().unwrap());
        prop_assert_eq!(matcher.is_complete(), fresh.is_complete());
    }

    #[test]
    fn a_beginning_may_be_anything_up_to_its_marker(choices: Vec<u16>, back in 0_usize..9) {
        let tokenizer = any();
        let grammar = Grammar::compile(tokenizer, &regex("dog")).unwrap().after("the");
        let mut matcher = grammar.matcher().unwrap();
        let mut text = String::new();
        for choice in choices {
            let begun = text.contains("the");
            prop_assert_eq!(matcher.has_begun(), begun);
            if begun {
                break;
            }
            let token = u32::from(choice) % tokenizer.vocab_size() as u32;
            prop_assert!(has(&matcher.mask().unwrap(), token) && !matcher.is_accepting().unwrap());
            prop_assert!(matcher.accept(token).unwrap());
            text.push_str(&String::from_utf8_lossy(&tokenizer.token_bytes(token).unwrap_or_default()));
        }
        let marker = tokenizer.encode(&[wasmlx_text::Segment::Untrusted("the".into())]).unwrap();
        if !matcher.has_begun() {
            for &token in &marker {
                prop_assert!(matcher.accept(token).unwrap());
            }
        }
        prop_assert!(matcher.has_begun());
        let first = allowed(&mut matcher);
        prop_assert!(matcher.accept(first[0]).unwrap());
        matcher.rewind(2 + back).unwrap();
        prop_assert!(!matcher.has_begun());
    }
}

fn defined(count: usize, definition: impl Fn(usize) -> Value) -> GrammarSource {
    let mut definitions: Map<String, Value> =
        (0..count).map(|index| (format!("d{index}"), definition(index))).collect();
    definitions.insert(format!("d{count}"), json!({"type": "string"}));
    GrammarSource::JsonSchema(json!({"$ref": "#/$defs/d0", "$defs": definitions}))
}

fn next(index: usize) -> Value {
    json!({"$ref": format!("#/$defs/d{}", index + 1)})
}

#[test]
fn what_is_no_grammar_is_refused_and_says_where() {
    let schema = |schema: Value| GrammarSource::JsonSchema(schema);
    let cases = [
        (schema(json!(5)), "a JSON Schema is an object, or `true` for any value; this one is 5"),
        (schema(json!({"type": "objekt"})), "cannot be used: Invalid type: objekt"),
        (
            schema(json!({"items": {"anyOf": [{"type": "null"}, {"type": "objekt"}]}})),
            "at /items/anyOf/1: Invalid type",
        ),
        (schema(json!({"properties": {"a": {"$ref": "#/$defs/none"}}})), "at /properties/a: Reference segment"),
        (schema(json!({"$ref": "https://example.com/schema"})), "Only absolute $ref's (#/...)"),
        (
            schema(json!({"properties": {"a": {"type": "string", "pattern": "^(b$"}}})),
            "at /properties/a: regex parse error: ^(b$ error: unclosed group",
        ),
        (
            schema(json!({"type": "integer", "minimum": 9, "maximum": 3})),
            "Unsatisfiable schema: minimum (9) is greater",
        ),
        (schema(json!({"not": {"type": "string"}})), "Unimplemented keys: [\"not\"]"),
        // Recursion that no text ends.
        (schema(json!({"$ref": "#"})), "cannot be satisfied"),
        (
            schema(json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})),
            "cannot be satisfied",
        ),
        (regex("a(b"), "at byte 1: unclosed group"),
        (regex("a(?=b)"), "at byte 1: look-around"),
        (regex(r"[^\s\S]"), "cannot be satisfied"),
        (GrammarSource::Lark("start: nothing".into()), "at 1(8): unknown name: \"nothing\""),
        (GrammarSource::Lark(String::new()), "no start rule found"),
        (GrammarSource::Lark("start: start".into()), "cannot be satisfied"),
    ];
    for (source, expected) in cases {
        let error = Grammar::compile(any(), &source).unwrap_err();
        assert_eq!(error.kind(), TextErrorKind::GrammarInvalid, "{error}");
        assert!(error.to_string().contains(expected) && !error.to_string().contains('\n'), "{error}");
    }
    let error = GrammarSource::json_schema("{\"type\":\n nonsense}").unwrap_err();
    assert!(error.to_string().contains("line 2 column 3"), "{error}");
    assert!(GrammarSource::json_schema(&"[".repeat(100_000)).unwrap_err().to_string().contains("recursion limit"));
    // It is no JSON either, which is not looked at.
    let error = GrammarSource::json_schema(&"[".repeat((1 << 20) + 1)).unwrap_err();
    assert_eq!(error.kind(), TextErrorKind::GrammarTooComplex, "{error}");
    assert!(error.to_string().contains("1048577 bytes, and 1048576 are allowed"), "{error}");
}

/// What is over a limit is refused at once or at a token, and what is merely large is taken.
#[test]
fn grammars_that_were_written_to_do_harm_come_to_an_end() {
    let many = |count: usize| (0..count).map(|index| format!("w{index}")).collect::<Vec<_>>();
    let nested = |levels: usize| (0..levels).fold(json!({"type": "string"}), |inner, _| json!({"items": inner}));
    let sources = [
        GrammarSource::JsonSchema(nested(60)),
        GrammarSource::JsonSchema(nested(400)),
        GrammarSource::JsonSchema(json!({"enum": many(5000)})),
        GrammarSource::JsonSchema(json!({"type": "string", "minLength": 1_000_000_000_u64})),
        GrammarSource::JsonSchema(json!({"type": "string", "pattern": "^(((a{1,100}){1,100}){1,100}){1,100}$"})),
        GrammarSource::JsonSchema(json!({"allOf": (0..24).map(|index| json!({"anyOf": [
            {"required": [format!("a{index}")]}, {"required": [format!("b{index}")]}
        ]})).collect::<Vec<_>>()})),
        defined(1500, next),
        defined(1500, |index| json!({"allOf": [next(index), {"type": "string"}]})),
        defined(18, |index| json!({"anyOf": [next(index), next(index)]})),
        regex("(a|aa)*(b|a)*x"),
        regex("[ab]*a[ab]{40}"),
        regex("(.*a.{200}|.*b.{200}|.*c.{200})"),
        regex("((a{1,1000}){1,1000}){1,1000}"),
        regex(&"(".repeat(200)),
        regex(&"a?".repeat(40_000)),
        GrammarSource::Lark("(".repeat(100_000)),
        GrammarSource::Lark(r#"start: start start | "a""#.into()),
        GrammarSource::Lark("start: a{1000000}\na: b{1000000}\nb: \"x\"".into()),
        GrammarSource::Lark("start: A\nA: /.*a.{12}/ & /.*b.{13}/ & /.*c.{14}/ & ~/.*ddd.*/".into()),
    ];
    for (number, source) in sources.into_iter().enumerate() {
        let started = Instant::now();
        let outcome = Grammar::compile(any(), &source).and_then(|grammar| {
            let mut matcher = grammar.matcher()?;
            for _ in 0..150 {
                let mask = matcher.mask()?;
                let Some(token) = (0..any().vocab_size() as u32).find(|&token| has(&mask, token)) else { break };
                assert!(matcher.accept(token)?);
            }
            Ok(())
        });
        let took = started.elapsed();
        if let Err(error) = &outcome {
            let kinds = [TextErrorKind::GrammarTooComplex, TextErrorKind::GrammarInvalid];
            assert!(kinds.contains(&error.kind()) && error.to_string().len() < 500, "{number}: {error}");
        }
        eprintln!("{number}: {took:?}: {}", outcome.map_or_else(|error| error.to_string(), |()| "a grammar".into()));
    }
}

#[test]
fn one_grammars_work_is_no_others() {
    let bomb = Grammar::compile(any(), &GrammarSource::Lark(r#"start: start start | "a""#.into())).unwrap();
    let mut spent = bomb.matcher().unwrap();
    let error = loop {
        let mask = match spent.mask() {
            Ok(mask) => mask,
            Err(error) => break error,
        };
        let token = (0..any().vocab_size() as u32).rev().find(|&token| has(&mask, token)).unwrap();
        if let Err(error) = spent.accept(token) {
            break error;
        }
    };
    assert_eq!(error.kind(), TextErrorKind::GrammarTooComplex, "{error}");
    assert!(!bomb.matcher().unwrap().mask().unwrap().is_empty(), "another answer begins as if nothing had been");
}
