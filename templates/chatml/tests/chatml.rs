//! ChatML by its cases, and beside the built-in model's own template.

#![allow(clippy::unwrap_used, reason = "a test stops where its surroundings are not as they should be")]

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use wasmlx_template_chatml::ChatMl;
use wasmlx_template_jinja::ModelTemplate;
use wasmlx_template_support::json::Json;
use wasmlx_template_support::prompt::joined;
use wasmlx_template_support::{PromptTemplate, Segment, cases};

#[test]
fn cases_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    match cases::run::<ChatMl>(&folder) {
        Ok(count) => assert!(count > 5, "{count} cases"),
        Err(failures) => panic!("{failures}"),
    }
}

fn text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        prop::sample::select(vec![
            "<|im_start|>",
            "<|im_end|>",
            "<think>",
            "</tool_call>",
            " ",
            "\n",
            "\"",
            "\\",
            "{",
            "é",
            ""
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(fragment, 0..5).prop_map(|fragments| fragments.concat())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e20..1e20).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn message() -> impl Strategy<Value = Value> {
    let role =
        prop_oneof![prop::sample::select(vec!["system", "user", "assistant", "tool"]).prop_map(str::to_owned), text(),];
    let call = (text(), prop_oneof![json_value().prop_map(|value| value.to_string()), text()])
        .prop_map(|(name, arguments)| json!({"id": "1", "name": name, "arguments": arguments}));
    (role, text(), prop::collection::vec(call, 0..3))
        .prop_map(|(role, content, tool_calls)| json!({"role": role, "content": content, "tool_calls": tool_calls}))
}

fn tool() -> impl Strategy<Value = Value> {
    (text(), text(), json_value()).prop_map(|(name, description, parameters)| {
        json!({"name": name, "description": description, "parameters": parameters.to_string()})
    })
}

fn conversation() -> impl Strategy<Value = Value> {
    let messages = prop::collection::vec(message(), 0..5);
    (messages, prop::collection::vec(tool(), 0..3), any::<bool>()).prop_map(
        |(messages, tools, prompt)| json!({"messages": messages, "tools": tools, "add_generation_prompt": prompt}),
    )
}

fn built_in() -> ModelTemplate {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/store/default-model/chat_template.jinja");
    let source = std::fs::read_to_string(path).unwrap();
    ModelTemplate::configure(&json!({"chat_template": source}).to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn writes_what_the_built_in_model_was_trained_on(json in conversation()) {
        let conversation = cases::conversation(&Json::read(&json.to_string()).unwrap());
        let native = ChatMl.render(&conversation).unwrap();
        let jinja = built_in().render(&conversation).unwrap();
        prop_assert_eq!(joined(&native), joined(&jinja));
    }

    #[test]
    fn no_text_of_a_caller_is_trusted(json in conversation()) {
        let conversation = cases::conversation(&Json::read(&json.to_string()).unwrap());
        let segments = ChatMl.render(&conversation).unwrap();
        // A turn opens and closes once a message, besides the system's and the one left open.
        let starts = segments.iter().filter(|segment| matches!(segment, Segment::Control(name) if name == "<|im_start|>")).count();
        let ends = segments.iter().filter(|segment| matches!(segment, Segment::Control(name) if name == "<|im_end|>")).count();
        prop_assert_eq!(starts, ends + usize::from(conversation.add_generation_prompt));
        prop_assert!(ends <= conversation.messages.len() + 1);
        for segment in &segments {
            if let Segment::Trusted(text) = segment {
                prop_assert!(!text.contains("<|") && !text.contains("<think>"), "{}", text);
            }
        }
    }
}
