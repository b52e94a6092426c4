//! The cases that stand beside a template, in `cases/*.json`: templates/README.md says what is in them.
//!
//! `wasmlx test` runs them on the component; this runs them on the template as plain Rust, for its own tests.

use std::path::Path;

use crate::answer::{AnswerReader, merge};
use crate::json::Json;
use crate::prompt::joined;
use crate::{
    AnswerContext, Conversation, Document, Error, Message, Output, Part, PromptTemplate, Segment, Tool, ToolCall,
};

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
        let file = Json::read(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for case in file.items() {
            count += 1;
            if let Err(difference) = check::<S>(case) {
                failures.push(format!("{}, {}: {difference}", path.display(), field(case, "name").dumps()));
            }
        }
    }
    if failures.is_empty() { Ok(count) } else { Err(failures.join("\n")) }
}

/// What an object has under a name, `null` if nothing.
fn field<'a>(json: &'a Json, name: &str) -> &'a Json {
    json.get(name).unwrap_or(&Json::Null)
}

fn check<S: PromptTemplate>(case: &Json) -> Result<(), String> {
    let same = |what: &str, expected: &Json, got: Json| match *expected == got {
        true => Ok(()),
        false => Err(format!("{what}\n  expected {}\n  got      {}", expected.dumps(), got.dumps())),
    };
    let config = case.get("config").map_or_else(|| "{}".to_owned(), Json::dumps);
    let conversation = conversation(field(case, "conversation"));
    let rendered = S::configure(&config).and_then(|template| {
        let segments = template.render(&conversation)?;
        Ok((template, segments))
    });
    let (template, segments) = match (rendered, field(case, "error").as_str()) {
        (Ok(rendered), None) => rendered,
        (Err(Error::InvalidInput(message)), Some(expected)) if message.contains(expected) => return Ok(()),
        (Err(error), _) => return Err(format!("unexpected error: {error:?}")),
        (Ok(_), Some(expected)) => return Err(format!("no error, though one was expected: {expected}")),
    };
    same("segments", field(case, "segments"), Json::Array(segments.iter().map(segment).collect()))?;
    for answer in field(case, "parse").items() {
        let context = AnswerContext {
            prompt_end: field(answer, "prompt_end").as_str().map_or_else(|| joined(&segments), str::to_owned),
            tools: answer.get("tools").map_or_else(|| conversation.tools.clone(), tools),
        };
        let text = field(answer, "text").as_str().unwrap_or_default();
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        // Whole, and in two pieces however it is cut.
        for border in borders {
            let mut reader = AnswerReader::new(template.format(), &context);
            let mut outputs = reader.push(&text[..border]);
            outputs.extend(reader.push(&text[border..]));
            outputs.extend(reader.finish());
            same("outputs", field(answer, "outputs"), Json::Array(merge(outputs).iter().map(output).collect()))?;
        }
    }
    Ok(())
}

fn segment(segment: &Segment) -> Json {
    let (kind, text) = match segment {
        Segment::Control(text) => ("control", text),
        Segment::Trusted(text) => ("trusted", text),
        Segment::Untrusted(text) => ("untrusted", text),
    };
    Json::object([(kind, text.as_str().into())])
}

fn output(output: &Output) -> Json {
    let (kind, text) = match output {
        Output::Content(text) => ("content", text),
        Output::Reasoning(text) => ("reasoning", text),
        Output::ToolCallStart(name) => ("tool_call_start", name),
        Output::ToolCallArguments(text) => ("tool_call_arguments", text),
        Output::ToolCallEnd => return "tool_call_end".into(),
    };
    Json::object([(kind, text.as_str().into())])
}

/// A conversation from its JSON, which is that of OpenAI's chat API. What is missing is empty.
pub fn conversation(json: &Json) -> Conversation {
    let option = |json: &Json, name: &str| field(json, name).as_str().map(str::to_owned);
    let call = |call: &Json| ToolCall {
        id: text(call, "id"),
        name: text(envelope(call), "name"),
        arguments: written(field(envelope(call), "arguments")),
    };
    let message = |message: &Json| Message {
        role: text(message, "role"),
        content: match field(message, "content") {
            Json::String(content) => vec![Part::Text(content.clone())],
            parts => parts.items().iter().map(|part| Part::Text(text(part, "text"))).collect(),
        },
        reasoning: option(message, "reasoning"),
        tool_calls: field(message, "tool_calls").items().iter().map(call).collect(),
        tool_call_id: option(message, "tool_call_id"),
        name: option(message, "name"),
    };
    let document = |document: &Json| Document { title: text(document, "title"), text: text(document, "text") };
    Conversation {
        messages: field(json, "messages").items().iter().map(message).collect(),
        tools: tools(field(json, "tools")),
        documents: field(json, "documents").items().iter().map(document).collect(),
        add_generation_prompt: *field(json, "add_generation_prompt") == Json::Bool(true),
        options: written(field(json, "options")),
        context: json.get("context").map(written),
    }
}

fn tools(json: &Json) -> Vec<Tool> {
    let tool = |tool: &Json| Tool {
        name: text(tool, "name"),
        description: text(tool, "description"),
        parameters: written(field(tool, "parameters")),
    };
    json.items().iter().map(envelope).map(tool).collect()
}

/// What is inside of `{"type": "function", "function": {...}}`, or the value itself.
fn envelope(json: &Json) -> &Json {
    json.get("function").unwrap_or(json)
}

fn text(json: &Json, name: &str) -> String {
    field(json, name).as_str().unwrap_or_default().to_owned()
}

/// A JSON text, from the value or from the text itself.
fn written(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        json => json.dumps(),
    }
}
