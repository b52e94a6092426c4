//! The cases that stand beside a template, in `cases/*.json`: templates/README.md says what is in them.
//!
//! `wasmlx test` runs them on the component; this runs them on the template as plain Rust, for its own tests.

use std::path::Path;

use serde_json::{Value, json};

use crate::answer::AnswerReader;
use crate::{Conversation, Document, Error, Message, Output, Part, PromptTemplate, Segment, Tool, ToolCall};

/// Runs all cases of a folder and says how each that failed did; how many there were.
///
/// # Errors
/// A sentence for a file that cannot be read, and for each case that came out otherwise.
pub fn run<S: PromptTemplate>(folder: &Path) -> Result<usize, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut count = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let cases: Vec<Value> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for case in &cases {
            count += 1;
            if let Err(difference) = check::<S>(case) {
                failures.push(format!("{}, {}: {difference}", path.display(), case["name"]));
            }
        }
    }
    if failures.is_empty() { Ok(count) } else { Err(failures.join("\n")) }
}

fn check<S: PromptTemplate>(case: &Value) -> Result<(), String> {
    let same = |what: &str, expected: &Value, got: &Value| match expected == got {
        true => Ok(()),
        false => Err(format!("{what}\n  expected {expected}\n  got      {got}")),
    };
    let template = match case.get("config") {
        Some(config) => S::configure(&config.to_string()),
        None => S::configure("{}"),
    };
    let rendered = template.and_then(|template: S| {
        let segments = template.render(&conversation(&case["conversation"]))?;
        Ok((template, segments))
    });
    let (template, segments) = match (rendered, case["error"].as_str()) {
        (Ok(rendered), None) => rendered,
        (Err(Error::InvalidInput(message)), Some(expected)) if message.contains(expected) => return Ok(()),
        (Err(error), _) => return Err(format!("unexpected error: {error:?}")),
        (Ok(_), Some(expected)) => return Err(format!("no error, though one was expected: {expected}")),
    };
    same("segments", &case["segments"], &segments.iter().map(segment).collect())?;
    for answer in case["parse"].as_array().into_iter().flatten() {
        let mut reader = AnswerReader::new(template.format());
        let mut outputs = reader.push(answer["text"].as_str().unwrap_or_default());
        outputs.extend(reader.finish());
        same("outputs", &answer["outputs"], &outputs.iter().map(output).collect())?;
    }
    Ok(())
}

fn segment(segment: &Segment) -> Value {
    match segment {
        Segment::Control(text) => json!({"control": text}),
        Segment::Trusted(text) => json!({"trusted": text}),
        Segment::Untrusted(text) => json!({"untrusted": text}),
    }
}

fn output(output: &Output) -> Value {
    match output {
        Output::Content(text) => json!({"content": text}),
        Output::Reasoning(text) => json!({"reasoning": text}),
        Output::ToolCallStart(name) => json!({"tool_call_start": name}),
        Output::ToolCallArguments(text) => json!({"tool_call_arguments": text}),
        Output::ToolCallEnd => json!("tool_call_end"),
    }
}

/// A conversation from its JSON, which is that of OpenAI's chat API. What is missing is empty.
pub fn conversation(json: &Value) -> Conversation {
    let list = |json: &Value| json.as_array().cloned().unwrap_or_default();
    let as_json = |json: &Value| match json {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let text = |json: &Value| json.as_str().unwrap_or_default().to_owned();
    let option = |json: &Value| json.as_str().map(str::to_owned);
    let envelope = |json: &Value| json.get("function").unwrap_or(json).clone();
    Conversation {
        messages: list(&json["messages"])
            .iter()
            .map(|message| Message {
                role: text(&message["role"]),
                content: match &message["content"] {
                    Value::Array(parts) => parts.iter().map(|part| Part::Text(text(&part["text"]))).collect(),
                    Value::String(content) => vec![Part::Text(content.clone())],
                    _ => Vec::new(),
                },
                reasoning: option(&message["reasoning"]),
                tool_calls: list(&message["tool_calls"])
                    .iter()
                    .map(|call| ToolCall {
                        id: text(&call["id"]),
                        name: text(&envelope(call)["name"]),
                        arguments: as_json(&envelope(call)["arguments"]),
                    })
                    .collect(),
                tool_call_id: option(&message["tool_call_id"]),
                name: option(&message["name"]),
            })
            .collect(),
        tools: list(&json["tools"])
            .iter()
            .map(envelope)
            .map(|tool| Tool {
                name: text(&tool["name"]),
                description: text(&tool["description"]),
                parameters: as_json(&tool["parameters"]),
            })
            .collect(),
        documents: list(&json["documents"])
            .iter()
            .map(|document| Document { title: text(&document["title"]), text: text(&document["text"]) })
            .collect(),
        add_generation_prompt: json["add_generation_prompt"].as_bool().unwrap_or_default(),
        options: as_json(&json["options"]),
        context: json.get("context").map(as_json),
    }
}
