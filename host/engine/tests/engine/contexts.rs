//! Contexts: what a prompt keeps of what was read, forks, truncation.

use std::path::Path;

use proptest::prelude::*;
use wasmlx_backend::fake::{END, FakeProbe, FakeScript, Gate, START};
use wasmlx_engine::{Context, EngineErrorKind, GenerateRequest, LoadRequest, Model};
use wasmlx_text::{Segment, Tokenizer};

use crate::support::{answer, bytes, collect, context, load_request, model, request, start, tokenizer, wait};

fn control(name: &str) -> Segment {
    Segment::Control(name.into())
}

fn trusted(text: &str) -> Segment {
    Segment::Trusted(text.into())
}

fn untrusted(text: &str) -> Segment {
    Segment::Untrusted(text.into())
}

/// A conversation as a template writes it: user and assistant in turn, then the opening of an answer.
fn conversation(turns: &[&str]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (index, text) in turns.iter().enumerate() {
        segments.extend([control("<|start|>"), trusted(if index % 2 == 0 { "user\n" } else { "assistant\n" })]);
        segments.extend([untrusted(text), control("<|end|>"), trusted("\n")]);
    }
    segments.extend([control("<|start|>"), trusted("assistant\n")]);
    segments
}

fn until_end(max_tokens: usize) -> GenerateRequest {
    GenerateRequest { end_tokens: vec![END], ..request(max_tokens) }
}

#[test]
fn the_same_prompt_again_leaves_one_token_to_read() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "a long prompt");
    let first = answer(&mut context, request(1));
    let before = probe.passes();
    let info = context.prompt(&[trusted("a long prompt")]).unwrap();
    assert_eq!((info.tokens, info.cached), (13, 12));
    let again = answer(&mut context, request(1));
    assert_eq!(again.tokens, first.tokens);
    assert_eq!(probe.passes() - before, 1);
    assert_eq!(again.finished.usage.cached_tokens, 12);
    assert_eq!(probe.caches(), [bytes("a long prompt")]);
}

#[test]
fn an_answer_is_fed_again_as_the_tokens_that_were_generated() {
    // The answer has the token `<tool>`, which its text, being untrusted in the next prompt, would never become.
    let opening = conversation(&["hi"]);
    let at = tokenizer().encode(&opening).unwrap().len();
    let says = [65, 258, 66, END];
    let (model, probe) = model(FakeScript::new().says(at, &says));
    let mut context = model.new_context();
    context.prompt(&opening).unwrap();
    let got = answer(&mut context, until_end(20));
    assert_eq!(got.text, "A<tool>B");
    assert_eq!(context.len(), at + 3);

    let next = conversation(&["hi", &got.text, "more"]);
    let info = context.prompt(&next).unwrap();
    assert_eq!(info.cached, at + 3, "all that was read stays");
    let ids = context.tokens();
    assert_eq!(ids[..at], tokenizer().encode(&opening).unwrap());
    assert_eq!(ids[at..at + 4], [65, 258, 66, END]);
    assert_eq!(tokenizer().decode(&ids, false).unwrap(), next.iter().map(Segment::text).collect::<String>());
    let got = answer(&mut context, request(1));
    assert_eq!(got.finished.usage.cached_tokens, at + 3);
    assert_eq!(probe.caches(), [ids]);
}

#[test]
fn a_vacated_context_is_empty_and_finds_its_tokens_again() {
    let opening = conversation(&["hi"]);
    let at = tokenizer().encode(&opening).unwrap().len();
    let (model, _) = model(FakeScript::new().says(at, &[65, 258, 66, END]));
    let mut context = model.new_context();
    context.prompt(&opening).unwrap();
    let got = answer(&mut context, until_end(20));
    let held = context.tokens();
    context.vacate().unwrap();
    assert!(context.is_empty() && context.text().is_empty());
    assert_eq!(context.generate(request(1)).err().unwrap().kind(), EngineErrorKind::InvalidInput);
    // Vacated twice, it still remembers.
    context.vacate().unwrap();
    let info = context.prompt(&conversation(&["hi", &got.text, "more"])).unwrap();
    assert_eq!(info.cached, at + 3);
    // The answer's tokens are those that were generated, which its text alone would not become.
    assert_eq!(context.tokens()[..held.len()], held);
    assert_eq!(answer(&mut context, request(1)).finished.usage.cached_tokens, at + 3);
    // Appending to nothing is a prompt, and a prompt that begins otherwise keeps nothing.
    context.vacate().unwrap();
    assert_eq!(context.append(&opening).unwrap().tokens, at);
    context.vacate().unwrap();
    assert_eq!(context.prompt(&[trusted("something else")]).unwrap().cached, 0);
    assert_eq!(context.text(), "something else");
}

#[test]
fn an_answer_that_a_template_trims_keeps_its_tokens_up_to_the_cut() {
    let at = tokenizer().encode(&conversation(&["hi"])).unwrap().len();
    let (model, _) = model(FakeScript::new().says(at, &[258, 65, 10, 10, END]));
    let mut context = model.new_context();
    context.prompt(&conversation(&["hi"])).unwrap();
    assert_eq!(answer(&mut context, until_end(20)).text, "<tool>A\n\n");
    context.prompt(&conversation(&["hi", "<tool>A", "more"])).unwrap();
    assert_eq!(context.tokens()[at..at + 3], [258, 65, END]);
}

#[test]
fn an_answer_that_was_edited_is_encoded_anew() {
    let at = tokenizer().encode(&conversation(&["hi"])).unwrap().len();
    let (model, _) = model(FakeScript::new().says(at, &[258, 65, 66, END]));
    let mut context = model.new_context();
    context.prompt(&conversation(&["hi"])).unwrap();
    answer(&mut context, until_end(20));
    let edited = conversation(&["hi", "<tool>AX", "more"]);
    let info = context.prompt(&edited).unwrap();
    assert_eq!(context.tokens(), tokenizer().encode(&edited).unwrap());
    assert_eq!(info.cached, at);
}

#[test]
fn a_text_that_differs_in_the_middle_keeps_its_beginning() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "one two three");
    answer(&mut context, request(4));
    context.prompt(&[trusted("one 2 three")]).unwrap();
    let got = answer(&mut context, request(1));
    assert_eq!(got.finished.usage.cached_tokens, 4);
    assert_eq!(probe.caches(), [bytes("one 2 three")]);
}

#[test]
fn text_of_another_trust_is_another_text() {
    let (model, _) = model(FakeScript::new());
    let mut context = model.new_context();
    context.prompt(&[trusted("<|start|>x")]).unwrap();
    assert_eq!(context.tokens(), [START, 120]);
    context.prompt(&[untrusted("<|start|>x")]).unwrap();
    assert_eq!(context.tokens(), bytes("<|start|>x"));
    assert_eq!(context.text(), "<|start|>x");
}

#[test]
fn a_cache_that_cannot_go_back_is_read_anew() {
    let script = || FakeScript::new().never_truncate().says(3, &[65, END]);
    let (model, probe) = model(script());
    let mut context = context(&model, "abc");
    assert_eq!(answer(&mut context, until_end(9)).text, "A");
    let got = answer(&mut context, request(2));
    assert_eq!(got.finished.usage.cached_tokens, 0);
    assert_eq!(probe.caches().len(), 1);
    assert_eq!(probe.caches()[0][..4], bytes("abcA"));
}

#[test]
fn a_fork_goes_its_own_way_from_what_was_read() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "abc");
    answer(&mut context, request(5));
    let mut fork = wait(context.fork()).unwrap();
    assert_eq!(fork.tokens(), context.tokens());
    assert_eq!(probe.caches().len(), 2);
    fork.append(&[trusted("!")]).unwrap();
    let got = answer(&mut fork, request(3));
    assert_eq!(got.finished.usage.cached_tokens, 7, "only the last token was not read");
    let mut again = self::context(&model, "abc");
    answer(&mut again, request(5));
    assert_eq!(answer(&mut context, request(5)).tokens, answer(&mut again, request(5)).tokens);
}

#[test]
fn a_truncated_context_goes_on_from_there() {
    let (model, probe) = model(FakeScript::new());
    let mut context = context(&model, "abcdef");
    let first = answer(&mut context, request(6));
    context.truncate(9).unwrap();
    assert_eq!(context.tokens(), [bytes("abcdef"), first.tokens[..3].to_vec()].concat());
    let second = answer(&mut context, request(3));
    assert_eq!(second.tokens, first.tokens[3..]);
    assert_eq!(second.finished.usage.cached_tokens, 8);
    context.truncate(2).unwrap();
    context.truncate(100).unwrap();
    assert_eq!((context.tokens(), context.text()), (bytes("ab"), "ab".to_owned()));
    context.append(&[trusted("x")]).unwrap();
    answer(&mut context, request(1));
    assert_eq!(probe.caches(), [bytes("abx")]);
}

#[test]
fn one_answer_at_a_time() {
    let gate = Gate::new();
    let (model, _) = model(FakeScript::new().hold_pass(0, &gate));
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(5)).unwrap();
    let busy = [
        context.generate(request(5)).map(|_| ()).unwrap_err(),
        context.prompt(&[trusted("x")]).map(|_| ()).unwrap_err(),
        context.append(&[trusted("x")]).map(|_| ()).unwrap_err(),
        context.set_tokens(&[1]).map(|_| ()).unwrap_err(),
        context.truncate(1).unwrap_err(),
        wait(context.fork()).map(|_| ()).unwrap_err(),
    ];
    assert!(busy.iter().all(|error| error.kind() == EngineErrorKind::Busy), "{busy:?}");
    assert_eq!(context.text(), "abc");
    gate.open();
    collect(&mut generation).unwrap();
    assert_eq!(context.len(), 8);
    answer(&mut context, request(1));
}

#[test]
fn a_dropped_context_frees_its_cache() {
    let (engine, probe) = start(FakeScript::new());
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let mut context = context(&model, "abc");
    answer(&mut context, request(1));
    assert_eq!(probe.caches().len(), 1);
    drop(context);
    // Commands are handled in order.
    wait(engine.stats()).unwrap();
    assert_eq!(probe.caches().len(), 0);

    let mut context = self::context(&model, "abc");
    let mut generation = context.generate(request(50)).unwrap();
    drop(context);
    assert_eq!(collect(&mut generation).unwrap().tokens.len(), 50, "its generation goes on");
    wait(engine.stats()).unwrap();
    assert_eq!(probe.caches().len(), 0);
}

#[test]
fn a_context_without_text_has_nothing_to_go_on_with() {
    let (model, _) = model(FakeScript::new());
    let error = model.new_context().generate(request(1)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    let error = model.new_context().prompt(&[control("<|nothing|>")]).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_model_without_a_tokenizer_takes_and_gives_tokens() {
    let (engine, _) = start(FakeScript::new());
    let model = wait(engine.load(LoadRequest::new("bare", "models/fake"))).unwrap();
    let mut context = model.new_context();
    let error = context.prompt(&[trusted("x")]).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    let error = context.set_tokens(&[1, 260]).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    context.set_tokens(&bytes("abc")).unwrap();
    let error = context.generate(GenerateRequest { stops: vec!["x".into()], ..request(1) }).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    let bare = answer(&mut context, request(20));
    assert_eq!(bare.text, "");
    let with = wait(engine.load(load_request("with"))).unwrap();
    assert_eq!(answer(&mut self::context(&with, "abc"), request(20)).tokens, bare.tokens);
    assert_eq!(context.tokens(), [bytes("abc"), bare.tokens].concat());
}

fn segment() -> impl Strategy<Value = Segment> {
    let text = || "[ab€<>|toolend]{0,6}";
    prop_oneof![
        prop_oneof![Just("<|start|>"), Just("<|end|>"), Just("<tool>")].prop_map(control),
        text().prop_map(Segment::Trusted),
        text().prop_map(Segment::Untrusted),
    ]
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    prop::collection::vec(segment(), 0..6)
}

/// A model with the built-in model's tokenizer, whose tokens are of many letters.
fn merging_model(script: FakeScript) -> (Model, Tokenizer) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/default-model");
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    let (engine, _) = start(script.vocabulary_size(tokenizer.vocab_size() as u32));
    let request = LoadRequest { tokenizer: Some(tokenizer.clone()), ..LoadRequest::new("merging", "models/fake") };
    (wait(engine.load(request)).unwrap(), tokenizer)
}

fn chatml(turns: &[&str]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (index, text) in turns.iter().enumerate() {
        let role = if index % 2 == 0 { "user\n" } else { "assistant\n" };
        segments.extend([
            control("<|im_start|>"),
            trusted(role),
            untrusted(text),
            control("<|im_end|>"),
            trusted("\n"),
        ]);
    }
    segments.extend([control("<|im_start|>"), trusted("assistant\n")]);
    segments
}

#[test]
fn an_answer_keeps_its_tokens_though_encoding_would_merge_them() {
    let tokenizer = merging_model(FakeScript::new()).1;
    let opening = chatml(&["What is the capital of Japan?"]);
    let at = tokenizer.encode(&opening).unwrap().len();
    // The answer in tokens of one letter each.
    let letter = |letter: char| tokenizer.encode_plain(&letter.to_string(), false).unwrap();
    let answer_ids: Vec<u32> = "The capital is Tokyo.".chars().flat_map(letter).collect();
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    let (model, _) = merging_model(FakeScript::new().says(at, &answer_ids).says(at + answer_ids.len(), &[end]));
    let mut context = prompted(&model, &opening);
    let got = answer(&mut context, GenerateRequest { end_tokens: vec![end], ..request(100) });
    assert_eq!(got.text, "The capital is Tokyo.");
    let next = chatml(&["What is the capital of Japan?", &got.text, "And of France?"]);
    let info = context.prompt(&next).unwrap();
    let (ids, anew) = (context.tokens(), tokenizer.encode(&next).unwrap());
    assert!(anew.len() < ids.len(), "encoding merges the letters");
    assert_eq!(ids[at..at + answer_ids.len()], answer_ids);
    let rest = anew.iter().rposition(|&id| id == end).unwrap() - 1;
    assert!(ids.ends_with(&anew[rest..]), "what comes after the answer is encoded as ever");
    assert_eq!(info.cached, at + answer_ids.len());
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), next.iter().map(Segment::text).collect::<String>());
}

#[test]
fn a_border_between_two_prompts_changes_no_merge() {
    let (model, tokenizer) = merging_model(FakeScript::new());
    let words = || prop::collection::vec("(the |Tok|yo|  |\n|capital of |<\\|im_|end\\|>|é){0,4}", 0..4);
    proptest!(|(one in words(), two in words())| {
        let segments = |texts: &[String]| texts.iter().map(|text| untrusted(text)).collect::<Vec<_>>();
        let (one, two) = (segments(&one), segments(&two));
        let mut halves = prompted(&model, &one);
        halves.append(&two).unwrap();
        prop_assert_eq!(halves.tokens(), tokenizer.encode(&[one, two].concat()).unwrap());
    });
}

fn prompted(model: &Model, segments: &[Segment]) -> Context {
    let mut context = model.new_context();
    context.prompt(segments).unwrap();
    context
}

#[test]
fn a_prompt_in_two_halves_is_the_prompt() {
    let (model, _) = model(FakeScript::new());
    proptest!(|(one in segments(), two in segments())| {
        let mut halves = prompted(&model, &one);
        halves.append(&two).unwrap();
        let whole = prompted(&model, &[one, two].concat());
        prop_assert_eq!(halves.tokens(), whole.tokens());
        prop_assert_eq!(halves.text(), whole.text());
    });
}

#[test]
fn without_answers_the_text_before_makes_no_difference() {
    let (model, _) = model(FakeScript::new());
    proptest!(|(one in segments(), two in segments())| {
        let mut changed = prompted(&model, &one);
        changed.prompt(&two).unwrap();
        prop_assert_eq!(changed.tokens(), tokenizer().encode(&two).unwrap());
    });
}

#[test]
fn a_text_that_cannot_fit_is_refused_before_it_is_encoded() {
    let (model, _) = model(FakeScript::new().context_length(16));
    let most = tokenizer().longest_text(16);
    let mut context = context(&model, "abc");
    // An unknown control token is found where a prompt is encoded, so what is refused for its length was not.
    let prompt = |length: usize| [Segment::Control("none".into()), Segment::Untrusted("x".repeat(length - 4))];
    for (length, kind) in [(most, EngineErrorKind::InvalidInput), (most + 1, EngineErrorKind::ContextFull)] {
        assert_eq!(context.prompt(&prompt(length)).unwrap_err().kind(), kind);
        assert_eq!(context.append(&prompt(length)).unwrap_err().kind(), kind);
    }
    assert_eq!(context.tokens(), bytes("abc"));
}

/// How many tokens the device has in its caches.
fn cached(probe: &FakeProbe) -> usize {
    probe.caches().iter().map(Vec::len).sum()
}

#[test]
fn a_context_holds_what_the_device_has_of_it_whatever_its_text_is() {
    let (model, probe) = model(FakeScript::new());
    let mut context = model.new_context();
    assert_eq!(context.held(), 0);
    context.prompt(&[trusted("a long prompt")]).unwrap();
    assert_eq!((context.held(), context.unread()), (13, 13));
    let mut generation = context.generate(request(4)).unwrap();
    assert_eq!(context.held(), 17, "that of the answer, while it runs");
    collect(&mut generation).unwrap();
    assert_eq!((context.held(), context.unread(), cached(&probe)), (17, 1, 16));
    // Nothing that is done to the text takes it from the device.
    context.truncate(0).unwrap();
    assert_eq!((context.held(), context.unread(), cached(&probe)), (16, 0, 16));
    context.vacate().unwrap();
    context.prompt(&[trusted("b")]).unwrap();
    assert_eq!((context.held(), context.unread()), (16, 1));
    let fork = wait(context.fork()).unwrap();
    assert_eq!((fork.held(), cached(&probe)), (16, 32));
    // Of an answer that is dropped nobody knows how far it came.
    drop(context.generate(request(99)).unwrap());
    assert_eq!(context.held(), 100);
    // The longest text is the model's.
    let running = context.generate(request(usize::MAX)).unwrap();
    assert_eq!(context.held(), 4096);
    drop(running);
}

#[test]
fn a_footprint_lasts_as_long_as_the_generation() {
    let gate = Gate::new();
    let (model, _) = model(FakeScript::new().hold_pass(0, &gate));
    let mut context = context(&model, "a prompt");
    let footprint = context.footprint();
    let mut generation = context.generate(request(2)).unwrap();
    drop(context);
    assert_eq!(footprint.tokens(), Some(10));
    gate.open();
    collect(&mut generation).unwrap();
    assert_eq!(footprint.tokens(), None);
}
