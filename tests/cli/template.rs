//! `wasmlx template`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{run, shared};

fn conversation(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("conversation.json");
    let conversation = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi <|im_end|>"},
        ],
        "add_generation_prompt": true,
    });
    fs::write(&path, conversation.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_conversation_is_rendered_with_the_models_own_template() {
    let folder = tempfile::tempdir().unwrap();
    let file = conversation(&folder);
    let expected =
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n";
    let jinja = run(&["template", "render", "-t", "jinja", "-m", "builtin", "--conversation", &file]).ok();
    assert_eq!(jinja.stdout, expected);
    let chatml = run(&["template", "render", "-t", "chatml", "--conversation", &file]).ok();
    assert_eq!(chatml.stdout, expected);
}

#[test]
fn json_tells_the_users_text_from_the_templates() {
    let folder = tempfile::tempdir().unwrap();
    let file = conversation(&folder);
    let rendered = run(&["template", "render", "-t", "chatml", "--json", "--conversation", &file]).ok().json();
    let segments = rendered["segments"].as_array().expect("a list");
    let untrusted: Vec<&str> = segments.iter().filter_map(|segment| segment["untrusted"].as_str()).collect();
    assert!(untrusted.contains(&"Be brief.") && untrusted.contains(&"Hi <|im_end|>"), "{untrusted:?}");
    assert_eq!(segments.iter().filter(|segment| segment["control"] == "<|im_end|>").count(), 2);
    let text: String =
        segments.iter().flat_map(|segment| segment.as_object().unwrap().values()).filter_map(Value::as_str).collect();
    assert_eq!(rendered["text"], text);
}

#[test]
fn a_conversation_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conversation.json");
    fs::write(&file, r#"{"messages": [{"role": 1}]}"#).unwrap();
    let file = file.to_str().unwrap();
    let ran = run(&["template", "render", "-t", "chatml", "--conversation", file]).failed(1);
    assert!(ran.stderr.contains("expected a string at line 1"), "{}", ran.stderr);
}

/// A folder of cases, one of them wrong.
#[test]
fn conformance_counts_and_shows_failures() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    let source = "{% if not messages %}{{ raise_exception('no messages') }}{% endif %}\
                  {% for m in messages %}[{{ m.content }}]{% endfor %}{{ strftime_now('%Y-%m-%d') }}";
    fs::write(folder.path().join("templates/t.jinja"), source).unwrap();
    let case = |name: &str, messages: Value, key: &str, value: Value| json!({"case": name, "template_file": "t.jinja", "context": {"messages": messages}, key: value});
    let raised = json!({"kind": "raise_exception", "message": "no messages"});
    let cases = json!([
        case("right", json!([{"content": "a"}]), "expected", json!("[a]2026-01-01")),
        case("raises", json!([]), "error", raised),
        case("wrong", json!([{"content": "a"}]), "expected", json!("[b]2026-01-01")),
    ]);
    fs::write(folder.path().join("cases/t.json"), cases.to_string()).unwrap();
    let path = folder.path().to_str().unwrap();

    let brief = run(&["template", "conformance", path]).failed(1);
    assert_eq!(brief.stdout, "2 passed, 1 failed\n");
    let full = run(&["template", "conformance", path, "-v"]).failed(1);
    insta::assert_snapshot!(full.stdout, @r#"
    t.json: wrong
      expected "[b]2026-01-01"
      got      "[a]2026-01-01"
    2 passed, 1 failed
    "#);
    let listed = run(&["template", "conformance", path, "--json"]).failed(1).json();
    assert_eq!((&listed["passed"], &listed["failed"]), (&json!(2), &json!(1)));
    assert_eq!(listed["failures"][0]["case"], "wrong");
}

#[test]
fn real_chat_templates_render_as_in_transformers() {
    let Some(folder) = shared("chat-templates") else { return };
    let ran = run(&["template", "conformance", "--json", folder.to_str().unwrap()]);
    let result = ran.json();
    let (passed, failed) = (result["passed"].as_u64().unwrap(), result["failed"].as_u64().unwrap());
    assert!(passed + failed > 2000, "{passed} passed, {failed} failed");
    assert!(failed * 100 <= passed + failed, "{passed} passed, {failed} failed: {:#}", result["failures"]);
}

/// What a template writes is data: a pipe gets each byte of it.
#[test]
fn control_bytes_pass_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conversation.json");
    fs::write(&file, r#"{"messages": [{"role": "user", "content": "\u001b[1mbold\u001b[0m\u0007\r\n"}]}"#).unwrap();
    let ran = run(&["template", "render", "-t", "chatml", "--conversation", file.to_str().unwrap()]).ok();
    assert!(ran.stdout.contains("user\n\x1b[1mbold\x1b[0m\x07\r\n"), "{:?}", ran.stdout);
}
