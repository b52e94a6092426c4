//! `wasmlx test`: the shipped components pass their own cases, and a case that is wrong is told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{ran, run, wasmlx};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_shipped_components_pass_their_cases() {
    let components = [
        "templates/jinja",
        "templates/chatml",
        "templates/llama3",
        "guest-examples/rust/default-policy",
        "guest-examples/rust/classic",
        "guest-examples/rust/mirostat",
        "guest-examples/rust/json-only",
        "guest-examples/rust/dates",
        "guest-examples/rust/no-words",
        "guest-examples/rust/chat",
        "guest-examples/rust/retrieval",
        "guest-examples/rust/vote",
        "guest-examples/rust/errand",
    ];
    for component in components {
        let report = run(&["test", "--json", repository(component).to_str().unwrap()]).ok().json();
        assert_eq!(report["failed"], 0, "{report:#}");
        assert!(report["passed"].as_u64().is_some_and(|passed| passed > 0), "{component}: {report:#}");
    }
}

/// A component beside cases of the test's own.
fn beside(component: &str, cases: &serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(component).with_extension("wasm");
    fs::copy(repository("target/components").join(component).with_extension("wasm"), &file).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/cases.json"), cases.to_string()).unwrap();
    (folder, file)
}

#[test]
fn a_wrong_case_of_a_policy_shows_both_sides() {
    let (_folder, file) = beside(
        "default-policy",
        &json!([
            {"name": "right", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.5}]},
            {"name": "wrong", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.7}]},
        ]),
    );
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    insta::assert_snapshot!(ran.stdout, @r#"
    default-policy (sampling policy)
      FAILED  cases.json: wrong
      expected  {"temperature":0.7}
      got       {"temperature":0.5}
    1 passed, 1 failed
    "#);
}

#[test]
fn a_wrong_step_of_a_policy_shows_the_distribution() {
    let step = json!({"logits": [1.0, 1.0], "new": [0], "expect": {"distribution": {"0": 1.0}}});
    let (_folder, file) = beside("classic", &json!([{"name": "even", "params": {"top_p": 1}, "steps": [step]}]));
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"0\": 0.5") && ran.stdout.ends_with("0 passed, 1 failed\n"), "{}", ran.stdout);
}

#[test]
fn counts_that_chance_does_not_explain_are_shown_beside_what_was_expected() {
    let case = |name, draws, distribution| {
        let step = json!({"logits": [0.0, 0.0], "new": [0], "expect": {"distribution": distribution}});
        json!({"name": name, "params": {"top_p": 1, "temperature": 1}, "draws": draws, "steps": [step]})
    };
    let (folder, file) = beside(
        "classic",
        &json!([case("even", 1000, json!({"0": 0.5, "1": 0.5})), case("uneven", 1000, json!({"0": 0.7, "1": 0.3})),]),
    );
    let failed = run(&["test", file.to_str().unwrap()]).failed(1);
    insta::assert_snapshot!(failed.stdout, @"
    classic (sampling policy)
      FAILED  cases.json: uneven
      expected  step 1: chi-square at most 23.93 (1 degree of freedom, false alarms 1e-6) over 1000 draws
      got       step 1: chi-square 236.80
      expected    0: 0.7000
      got         0: 0.4770
      expected    1: 0.3000
      got         1: 0.5230
    1 passed, 1 failed
    ");

    for (case, why) in [
        (case("few", 1, json!({"0": 0.5, "1": 0.5})), "`draws` is too low"),
        (case("many", 1_000_000, json!({"0": 1})), "from 1 to 100000"),
        (case("half", 100, json!({"0": 0.5})), "sum to 0.5, not to 1"),
        (case("other", 100, json!({"7": 1})), "has the token `7`"),
        (
            json!({"name": "no draws", "false_alarm": 0.1, "steps": [{"new": [], "logits": [0], "expect": "stop"}]}),
            "without `draws`",
        ),
    ] {
        fs::write(folder.path().join("cases/cases.json"), json!([case]).to_string()).unwrap();
        let wrong = run(&["test", file.to_str().unwrap()]).failed(1);
        assert!(wrong.stderr.contains(why), "{}", wrong.stderr);
    }
}

/// How likely a false alarm is a case says of itself, not of each of its steps.
#[test]
fn false_alarms_are_shared_by_the_steps_that_are_counted() {
    // The first step draws so unevenly by chance that a test of it alone is not passed.
    let case = |steps: usize| {
        let step = json!({"logits": [0.0, 0.0], "new": [0], "expect": {"distribution": {"0": 0.5, "1": 0.5}}});
        json!([{
            "name": "even", "params": {"top_p": 1, "temperature": 1}, "draws": 1000, "false_alarm": 0.2,
            "steps": vec![step; steps],
        }])
    };
    let (folder, file) = beside("classic", &case(1));
    let failed = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(failed.stdout.contains("false alarms 2e-1"), "{}", failed.stdout);
    fs::write(folder.path().join("cases/cases.json"), case(2).to_string()).unwrap();
    run(&["test", file.to_str().unwrap()]).ok();
}

#[test]
fn a_case_that_would_not_be_checked_is_refused() {
    let step = |expect| json!([{"logits": [0.0, 1.0], "new": [0], "expect": expect}]);
    let token = step(json!({"token": 1}));
    let two = step(json!({"distribution": {"0": 0.26894, "1": 0.73106}, "token": 99}));
    let log = json!([{"role": "user", "content": "Hi"}]);
    for (component, case, why) in [
        ("chatml", json!({}), "it checks nothing: it has none of `segments`, `parse` and `error`"),
        ("chatml", json!({"parse": []}), "it checks nothing"),
        ("chatml", json!({"parsee": []}), "it has `parsee`, which is not known; it may have name, config,"),
        ("chatml", json!({"segments": []}), "`segments` without `conversation`"),
        ("chatml", json!({"conversation": {"mesages": []}, "segments": []}), "`conversation` has `mesages`"),
        ("chatml", json!({"error": "", "parse": []}), "both `error` and `parse`"),
        ("classic", json!({}), "it checks nothing: it has none of `plan`, `error` and `steps`"),
        ("classic", json!({"steps": token, "draws": 4000, "raeds": 7}), "it has `raeds`"),
        ("classic", json!({"plan": null, "stpes": []}), "it has `stpes`"),
        ("classic", json!({"plan": null, "reads": 0}), "`reads` without `steps`"),
        ("classic", json!({"plan": null, "steps": token}), "both `plan` and `steps`"),
        ("classic", json!({"steps": two}), "map with a single key"),
        ("classic", json!({"steps": step(json!({"tokn": 1}))}), "unknown variant `tokn`"),
        ("chat", json!({"log": log}), "neither `events` nor `error`"),
        ("chat", json!({"log": log, "evens": []}), "it has `evens`"),
        ("chat", json!({"log": log, "events": [], "script": [{"otputs": []}]}), "`otputs`"),
        ("errand", json!({"args": ["note", "diary", "a"], "keptt": {"diary": {"a": "RAIN"}}}), "it has `keptt`"),
        ("errand", json!({"args": [], "error": "usage", "printed": ""}), "both `error` and `printed`"),
    ] {
        let (_folder, file) = beside(component, &json!([case]));
        let refused = run(&["test", file.to_str().unwrap()]).failed(1);
        assert!(refused.stderr.contains(why), "{why} in: {}", refused.stderr);
    }
    let (_folder, file, _) = beside_cassette(
        "chat",
        &json!({"cassette": 1, "name": "no turns", "run": {}, "calls": [], "outcome": {"turns": []}}).to_string(),
    );
    let refused = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(refused.stderr.contains("`run` has no `turns`"), "{}", refused.stderr);
}

#[test]
fn a_wrong_case_of_a_template_shows_the_segments() {
    let conversation = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let case = json!([{"name": "none", "conversation": conversation, "segments": []}]);
    let (_folder, file) = beside("chatml", &case);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"untrusted\": \"Hi\""), "{}", ran.stdout);
}

#[test]
fn a_wrong_case_of_a_chat_shows_the_turn() {
    let case = json!([{
        "name": "silent",
        "log": [{"role": "user", "content": "Hi"}],
        "script": [{"outputs": [{"content": "Hello."}]}],
        "events": [{"done": "stop"}],
        "appended": [],
    }]);
    let (_folder, file) = beside("chat", &case);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"content\": \"Hello.\""), "{}", ran.stdout);
}

#[test]
fn a_wrong_case_of_an_agent_shows_what_it_says() {
    let case =
        json!([{"name": "note", "args": ["note", "diary", "a"], "kv": {"diary": {"a": "Sun."}}, "printed": "Rain.\n"}]);
    let (_folder, file) = beside("errand", &case);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    insta::assert_snapshot!(ran.stdout, @r#"
    errand (agent)
      FAILED  cases.json: note
      expected  Rain.
      got       Sun.
                {
                  "kept": {
                    "diary": {
                      "a": "Sun."
                    }
                  }
                }
    0 passed, 1 failed
    "#);
}

#[test]
fn a_case_that_is_written_by_hand_has_no_network() {
    let case = json!([{"name": "page", "args": ["fetch", "http://localhost:1/"], "http": ["localhost:1"]}]);
    let (_folder, file) = beside("errand", &case);
    let refused = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(refused.stderr.contains("has no network"), "{}", refused.stderr);
}

#[test]
fn update_rewrites_the_cases_that_fail_and_leaves_the_others_as_they_are_written() {
    let (folder, file) = beside("default-policy", &json!([]));
    let cases = folder.path().join("cases/cases.json");
    let right = r#"{"name":   "right", "params": {"temperature": 0.5, "top_p": 1}, "plan": [{"temperature": 0.5}]}"#;
    let wrong = r#"{"name": "wrong", "params": {"top_k": 2, "top_p": 1}, "plan": null}"#;
    let refused = r#"{"name": "refused", "params": {"topk": 2}, "error": "nothing of the kind"}"#;
    let accepted = r#"{"name": "accepted", "params": {"top_k": 2}, "error": "no such parameter"}"#;
    fs::write(&cases, format!("[\n  {right},\n  {wrong},\n  {refused},\n  {accepted}\n]\n")).unwrap();

    let ran = run(&["test", "--update", file.to_str().unwrap()]).failed(1);
    // What is no longer refused is for a person to say.
    assert!(ran.stdout.contains("FAILED  cases.json: accepted"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("3 passed, 1 failed\n"), "{}", ran.stdout);
    let text = fs::read_to_string(&cases).unwrap();
    let mended =
        r#"{"name": "wrong", "params": {"top_k": 2, "top_p": 1}, "plan": [{"top_k": 2}, {"temperature": 0.7}]}"#;
    assert!(text.starts_with(&format!("[\n  {right},\n  {mended},\n")), "{text}");
    assert!(text.ends_with(&format!("  {accepted}\n]\n")), "{text}");
    let report = run(&["test", "--json", file.to_str().unwrap()]).failed(1).json();
    assert_eq!((&report["passed"], &report["failed"]), (&json!(3), &json!(1)), "{report:#}");
    assert_eq!(fs::read_dir(folder.path().join("cases")).unwrap().count(), 1, "nothing else is left there");
}

/// The cassette of a shipped component, by its name.
fn cassette(component: &str, name: &str) -> serde_json::Value {
    let path = repository("guest-examples/rust").join(component).join("cases").join(name);
    serde_json::from_slice(&fs::read(path.with_extension("cassette.json")).unwrap()).unwrap()
}

/// A component beside one cassette of the test's own.
fn beside_cassette(component: &str, cassette: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (folder, file) = beside(component, &json!([]));
    let cases = folder.path().join("cases");
    fs::remove_file(cases.join("cases.json")).unwrap();
    let path = cases.join("run.cassette.json");
    fs::write(&path, cassette).unwrap();
    (folder, file, path)
}

#[test]
fn a_call_that_was_not_recorded_is_shown_beside_the_one_that_was() {
    let mut cassette = cassette("vote", "japan");
    cassette["run"]["args"] = json!(["--voters", "3", "What is the capital of France?"]);
    let (_folder, file, _) = beside_cassette("vote", &cassette.to_string());
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    insta::assert_snapshot!(ran.stdout, @r#"
    vote (agent)
      FAILED  run.cassette.json: three voters on the built-in model, each with a seed of its own
                call 3 of the 18 recorded: templates.render_for
                {
                  "model": "builtin",
                  "conversation": {
                    "messages": [
                      {
                        "role": "user",
      expected          "content": "What is the capital of Japan?"
      got               "content": "What is the capital of France?"
                      }
                    ],
                    "add_generation_prompt": true
                  }
                }
    0 passed, 1 failed
    "#);
}

#[test]
fn calls_that_are_missing_or_too_many_are_told() {
    let mut cassette = cassette("vote", "japan");
    cassette["run"]["args"][1] = json!("2");
    let (_folder, file, path) = beside_cassette("vote", &cassette.to_string());
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("none was made"), "{}", ran.stdout);

    cassette["run"]["args"][1] = json!("3");
    cassette["calls"].as_array_mut().unwrap().truncate(5);
    fs::write(&path, cassette.to_string()).unwrap();
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("call 6 of the 5 recorded: none, the recording has ended"), "{}", ran.stdout);
    assert!(ran.stdout.contains("call 6 of the 5 recorded: generation.next_batch"), "{}", ran.stdout);
}

#[test]
fn an_outcome_that_changed_is_updated_where_the_calls_did_not() {
    let mut cassette = cassette("vote", "japan");
    let printed = cassette["outcome"]["printed"].take();
    cassette["outcome"]["printed"] = json!(["nothing\n"]);
    let (_folder, file, path) = beside_cassette("vote", &cassette.to_string());
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stdout.contains("\"nothing\\n\""), "{}", ran.stdout);
    let report = run(&["test", "--update", "--json", file.to_str().unwrap()]).ok().json();
    assert_eq!(report["updated"][0]["file"], "run.cassette.json", "{report:#}");
    let updated: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(updated["outcome"]["printed"], printed);
    cassette["outcome"]["printed"] = printed;
    assert_eq!(updated, cassette, "nothing else changed");
}

#[test]
fn what_is_recorded_on_the_model_is_played_without_it() {
    let run_of = json!({
        "turns": ["What is the capital of Japan?", "And of Italy?"], "max_tokens": 12,
    });
    let unrecorded = json!({"cassette": 1, "name": "capitals", "run": run_of});
    let (_folder, file, path) = beside_cassette("chat", &unrecorded.to_string());
    let early = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(early.stderr.contains("not recorded yet") && early.stderr.contains("--record"), "{}", early.stderr);

    let report = run(&["test", "--record", "--json", file.to_str().unwrap()]).ok().json();
    assert_eq!(report["recorded"], json!(["run.cassette.json"]), "{report:#}");
    let recorded = fs::read(&path).unwrap();
    let cassette: serde_json::Value = serde_json::from_slice(&recorded).unwrap();
    assert!(cassette["outcome"].to_string().contains("Tokyo"), "{cassette:#}");

    // Played in a home in which no model can be.
    let nowhere = tempfile::tempdir().unwrap();
    let home = nowhere.path().join("file");
    fs::write(&home, "").unwrap();
    ran(wasmlx(&["test", file.to_str().unwrap()]).env("WASMLX_HOME", &home)).ok();
    run(&["test", "--record", file.to_str().unwrap()]).ok();
    assert_eq!(fs::read(&path).unwrap(), recorded, "a recording made anew is the same");
}

#[test]
fn a_recording_is_not_lost_to_a_run_that_fails() {
    // Nothing listens there.
    let run_of = json!({"args": ["fetch", "http://localhost:1/"], "http": ["localhost:1"]});
    let cassette = json!({"cassette": 1, "name": "page", "run": run_of, "calls": [], "outcome": {"printed": []}});
    let (_folder, file, path) = beside_cassette("errand", &cassette.to_string());
    let failed = run(&["test", "--record", file.to_str().unwrap()]).failed(1);
    assert!(failed.stderr.contains("what was recorded before is kept"), "{}", failed.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), cassette.to_string());

    let unrecorded = json!({"cassette": 1, "name": "page", "run": cassette["run"]});
    fs::write(&path, unrecorded.to_string()).unwrap();
    let report = run(&["test", "--record", "--json", file.to_str().unwrap()]).ok().json();
    assert_eq!((&report["passed"], &report["recorded"]), (&json!(1), &json!(["run.cassette.json"])), "{report:#}");
    let recorded: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(recorded["calls"][0]["error"], json!({"other": "connection_refused"}), "{recorded:#}");
}

#[test]
fn cassettes_that_are_none_are_told() {
    let whole = cassette("vote", "japan").to_string();
    for (text, why) in [
        ("{}", "missing field `cassette`"),
        (&whole[..whole.len() / 2], "EOF while parsing"),
        (&whole.replace("\"cassette\":1", "\"cassette\":2"), "of version 2, not 1"),
        (&whole.replace("\"args\"", "\"arguments_\""), "`run` has `arguments_`"),
    ] {
        let (_folder, file, _) = beside_cassette("vote", text);
        let ran = run(&["test", file.to_str().unwrap()]).failed(1);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    let (_folder, file, _) = beside_cassette("classic", &whole);
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("cassettes are of chats and agents"), "{}", ran.stderr);
    let (_folder, file) = beside("classic", &json!([{"name": "a", "steps": []}]));
    let ran = run(&["test", "--record", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("holds no cassettes"), "{}", ran.stderr);
}

#[test]
fn what_is_no_component_and_what_are_no_cases_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thing.wasm");
    fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("core module"), "{}", ran.stderr);

    let (folder, file) = beside("classic", &json!({"name": "no list"}));
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("cases.json"), "{}", ran.stderr);
    fs::remove_dir_all(folder.path().join("cases")).unwrap();
    let ran = run(&["test", file.to_str().unwrap()]).failed(1);
    assert!(ran.stderr.contains("hint: cases are files *.json in the folder `cases`"), "{}", ran.stderr);

    let ran = run(&["test", "min-p"]).failed(1);
    assert!(ran.stderr.contains("min-p is not there"), "{}", ran.stderr);
    assert!(ran.stderr.contains("of an installed one no cases are kept"), "{}", ran.stderr);
}

/// An agent that says nothing, over and over.
#[cfg(unix)]
fn endless_agent() -> Vec<u8> {
    let module = r#"(module
        (import "wasmlx:runner/console@0.1.0" "print" (func $print (param i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "run") (param i32 i32) (result i32)
            (loop $again (call $print (i32.const 0) (i32.const 0) (i32.const 512)) (br $again))
            (unreachable)))"#;
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(repository("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("agent")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_of_what_was_made_for_a_case() {
    let (folder, file) = beside("errand", &json!([{"name": "endless", "write": {"out": {"a.txt": "A."}}}]));
    fs::write(&file, endless_agent()).unwrap();
    for options in [&[][..], &["--watch"]] {
        let temporary = tempfile::tempdir_in(folder.path()).unwrap();
        let made = || fs::read_dir(temporary.path()).unwrap().count();
        let mut command = wasmlx(&[&["test", file.to_str().unwrap()], options].concat());
        let mut child = command.env("TMPDIR", temporary.path()).spawn().unwrap();
        while made() == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it runs the case");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(interrupted.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{options:?}");
        assert_eq!(made(), 0, "{options:?}");
    }
}
