//! `--json-schema`, with the built-in model: what is printed is JSON of the schema, whatever the sampler.

use std::fs;

use serde_json::{Value, json};

use crate::support::{run, run_with_input};

fn file(schema: &Value) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("person.json");
    fs::write(&path, schema.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 24},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "tags": {"type": "array", "items": {"enum": ["kind", "brave", "wise"]}, "maxItems": 3}
        },
        "required": ["name", "age", "tags"],
        "additionalProperties": false
    })
}

fn assert_person(text: &str) {
    let person: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(person.as_object().unwrap().len(), 3, "{text}");
    assert!((1..=24).contains(&person["name"].as_str().unwrap().chars().count()), "{text}");
    assert!(person["age"].as_u64().unwrap() <= 130, "{text}");
    let tags = person["tags"].as_array().unwrap();
    assert!(
        tags.len() <= 3 && tags.iter().all(|tag| ["kind", "brave", "wise"].contains(&tag.as_str().unwrap())),
        "{text}"
    );
}

#[test]
fn answers_are_of_the_schema_at_every_temperature() {
    let (_folder, schema) = file(&person());
    let question = "Describe a person as JSON.";
    for (temperature, seed) in [("0", "0"), ("0.7", "1"), ("0.7", "2"), ("1.5", "3"), ("3", "4")] {
        let arguments =
            ["run", question, "--json-schema", &schema, "--temperature", temperature, "--seed", seed, "--json"];
        let answer = run(&arguments).ok().json();
        assert_eq!(answer["finish_reason"], "stop", "{answer:#}");
        assert_person(answer["text"].as_str().unwrap());
    }
    // As it stands, without `--json` and without a template.
    let ran = run(&["run", "--raw", "A person: ", "--json-schema", &schema, "--seed", "5"]).ok();
    assert_person(&ran.stdout);
    let cut = run(&["run", question, "--json-schema", &schema, "--max-tokens", "4", "--json"]).ok().json();
    assert_eq!((&cut["finish_reason"], &cut["completion_tokens"]), (&json!("length"), &json!(4)));
}

#[test]
fn a_chat_is_given_a_schema_and_freed_of_it() {
    let (folder, schema) = file(&person());
    let saved = folder.path().join("saved.json");
    let lines = [
        format!("/set json_schema {schema}"),
        "Describe a person as JSON.".to_owned(),
        format!("/save {}", saved.display()),
        "Describe another one.".to_owned(),
        "/set json_schema null".to_owned(),
        "What is the capital of Japan?".to_owned(),
    ];
    let ran = run_with_input(&["chat", "--temperature", "0", "--seed", "1", "--json"], &lines.join("\n")).ok();
    let answers: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3, "{}\n{}", ran.stdout, ran.stderr);
    assert_person(answers[0]["text"].as_str().unwrap());
    assert_person(answers[1]["text"].as_str().unwrap());
    assert!(serde_json::from_str::<Value>(answers[2]["text"].as_str().unwrap()).is_err(), "{}", answers[2]);
    assert!(saved.exists());
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    let (_folder, schema) = file(&json!({"properties": {"age": {"type": "number of years"}}}));
    let ran = run(&["run", "Hi", "--json-schema", &schema]).failed(1);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("at /properties/age: Invalid type: number of years"), "{}", ran.stderr);
    fs::write(&schema, "{\"type\": }").unwrap();
    let ran = run(&["run", "Hi", "--json-schema", &schema]).failed(1);
    assert!(ran.stderr.contains("person.json") && ran.stderr.contains("line 1 column 10"), "{}", ran.stderr);
    let ran = run(&["run", "Hi", "--json-schema", "no-such-file.json"]).failed(1);
    assert!(ran.stderr.contains("no-such-file.json"), "{}", ran.stderr);
}
