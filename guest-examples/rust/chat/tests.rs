//! The chat against a scripted host: its cases, and what a case cannot show.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::bindings::exports::wasmlx::runner::chat::Event;
use crate::bindings::wasmlx::runner::contexts::GenerateOptions;
use crate::bindings::wasmlx::runner::types::{Error, FinishReason, Saved};
use crate::script::{Script, event_json, message_json};
use crate::session::Session;
use crate::turn::Turn;

type ScriptedTurn = Turn<Rc<Script>>;

fn session(script: &Rc<Script>, config: Value) -> Rc<Session<Rc<Script>>> {
    Rc::new(Session::open(script.clone(), &config.to_string()).unwrap_or_else(|error| panic!("{error:?}")))
}

/// All events of a turn, fetched `max` at a time, and the error that ended it.
fn events(turn: &mut ScriptedTurn, max: u32) -> (Vec<Event>, Option<Error>) {
    let mut events = Vec::new();
    loop {
        match turn.next_batch(max) {
            Ok(batch) if batch.is_empty() => return (events, None),
            Ok(batch) => events.extend(batch),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// One answer that says so, in a case.
fn says(content: &str) -> Value {
    json!({ "outputs": [{ "content": content }] })
}

/// One answer that calls a tool without arguments, in a case.
fn calls(tool: &str) -> Value {
    json!({ "outputs": [{ "tool_call_start": tool }, "tool_call_end"] })
}

#[test]
fn the_cases_hold_however_the_events_are_fetched() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut count = 0;
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    // A recorded run has other calls where the events are fetched otherwise.
    for file in files.filter(|file| !file.to_string_lossy().ends_with(".cassette.json")) {
        let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for case in cases {
            for max in [1, 2, 100] {
                let script = Script::of(&case);
                let given = script.log.borrow().len();
                let config = case.get("config").cloned().unwrap_or(json!({}));
                let mut turn = Turn::begin(&session(&script, config)).unwrap();
                let (events, error) = events(&mut turn, max);
                assert_eq!(error, None, "{}", case["name"]);
                let events: Value = events.iter().map(event_json).collect();
                assert_eq!(events, case["events"], "{}, {max} at a time", case["name"]);
                let appended: Value = script.log.borrow()[given..].iter().map(message_json).collect();
                assert_eq!(appended, case["appended"], "{}, {max} at a time", case["name"]);
            }
            count += 1;
        }
    }
    assert!(count > 0, "no case was found");
}

#[test]
fn the_template_and_the_model_get_what_the_configuration_says() {
    let script = Script::of(&json!({
        "log": [{ "role": "user", "content": "Hi" }],
        "tools": [{ "name": "clock", "description": "The time.", "parameters": { "type": "object" } }],
        "script": [says("Hello")],
    }));
    let config = json!({ "options": { "enable_thinking": false }, "max_tokens": 9, "stop": ["\n"], "seed": u64::MAX });
    events(&mut Turn::begin(&session(&script, config)).unwrap(), 100);

    let rendered = &script.rendered.borrow()[0];
    assert_eq!(rendered.options, r#"{"enable_thinking":false}"#);
    assert!(rendered.add_generation_prompt);
    assert_eq!(rendered.messages, script.log.borrow()[..1]);
    assert_eq!(rendered.tools[0].parameters, r#"{"type":"object"}"#);
    let (stops, seed) = (vec!["\n".into()], Some(u64::MAX));
    let options = GenerateOptions { max_tokens: Some(9), stops, seed, tools: rendered.tools.clone(), grammar: None };
    assert_eq!(*script.generated.borrow(), [options]);
}

#[test]
fn a_session_keeps_its_context_and_never_names_two_calls_alike() {
    let script = Script::of(&json!({
        "log": [
            { "role": "user", "content": "Again?" },
            { "role": "assistant", "tool_calls": [{ "id": "call_41", "name": "clock", "arguments": "{}" }] },
            { "role": "tool", "content": "12:00", "tool_call_id": "call_41" },
        ],
        "tools": [{ "name": "clock", "callable": true }],
        "results": { "clock": [{ "ok": "12:01" }, { "ok": "12:02" }] },
        "script": [calls("clock"), says("Once"), calls("clock"), says("Twice")],
    }));
    let session = session(&script, json!({}));
    for id in ["call_42", "call_43"] {
        let (events, _) = events(&mut Turn::begin(&session).unwrap(), 1);
        assert!(matches!(&events[0], Event::ToolCall(call) if call.id == id), "{events:?}");
    }
    assert_eq!(script.opened.get(), 1);
}

#[test]
fn one_turn_runs_at_a_time() {
    let script = Script::of(&json!({ "script": [says("One"), says("Two"), says("Three")] }));
    let session = session(&script, json!({}));
    let mut first = Turn::begin(&session).unwrap();
    assert!(matches!(Turn::begin(&session), Err(Error::InvalidInput(_))));
    events(&mut first, 1);
    assert_eq!(first.next(), Ok(None), "an ended turn stays so");
    let second = Turn::begin(&session).unwrap();
    drop(second);
    assert!(Turn::begin(&session).is_ok());
}

#[test]
fn an_error_ends_the_turn_and_leaves_the_session_usable() {
    let script = Script::of(&json!({ "script": [{ "finish": "none" }, says("Hello")] }));
    let session = session(&script, json!({}));
    let mut turn = Turn::begin(&session).unwrap();
    assert!(matches!(turn.next(), Err(Error::ModelFailed(_))));
    assert_eq!(turn.next(), Ok(None));

    let (events, error) = events(&mut Turn::begin(&session).unwrap(), 100);
    assert_eq!((events.last(), error), (Some(&Event::Done(FinishReason::Stop)), None));
}

#[test]
fn a_saved_session_goes_on_counting() {
    let script = Script::of(&json!({ "tools": [{ "name": "ours" }], "script": [calls("ours"), calls("ours")] }));
    let before = session(&script, json!({}));
    events(&mut Turn::begin(&before).unwrap(), 1);
    script.log.borrow_mut().clear();

    let after = Rc::new(Session::restore(script.clone(), "{}", &before.save()).ok().unwrap());
    let (events, _) = events(&mut Turn::begin(&after).unwrap(), 1);
    assert!(matches!(&events[0], Event::ToolCall(call) if call.id == "call_2"), "{events:?}");

    for (version, bytes) in [(2, vec![0; 4]), (1, vec![0; 3]), (1, Vec::new())] {
        assert!(Session::restore(script.clone(), "{}", &Saved { version, bytes }).is_err());
    }
}

#[test]
fn nobody_may_ask_for_no_events() {
    let script = Script::of(&json!({ "script": [says("One")] }));
    let mut turn = Turn::begin(&session(&script, json!({}))).unwrap();
    assert!(matches!(turn.next_batch(0), Err(Error::InvalidInput(_))));
    assert_eq!(turn.next(), Ok(Some(Event::Content("One".into()))), "the turn goes on");
}

#[test]
fn a_wrong_configuration_is_named_at_once() {
    let error = |config: &str| match Session::open(Script::of(&Value::Null), config) {
        Err(Error::InvalidInput(why)) => why,
        _ => panic!("{config} was taken"),
    };
    assert_eq!(
        error(r#"{"max_token": 1}"#),
        "the chat's configuration cannot be used: unknown field `max_token`, expected one of `options`, \
         `max_tokens`, `stop`, `seed`, `max_rounds` at line 1 column 12"
    );
    assert!(error(r#"{"seed": -1}"#).contains("invalid value"));
    assert!(Session::restore(Script::of(&Value::Null), "[", &Saved { version: 1, bytes: vec![0; 4] }).is_err());
}
