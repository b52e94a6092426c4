//! A model's text as a template's parser reads it. However the text is cut, it means the same.

use std::sync::LazyLock;

use wasmlx_components::{AnswerContext, Conversation, Output, Template};

use super::Bytes;

/// Templates that read calls in every way there is, and their configurations.
static TEMPLATES: LazyLock<[Template; 4]> = LazyLock::new(|| {
    let configured = [
        ("chatml", "{}"),
        ("llama3", "{}"),
        ("jinja", r#"{"chat_template": "<think><tool_call><function="}"#),
        ("jinja", r#"{"chat_template": "<think><tool_call><arg_key>"}"#),
    ];
    configured.map(|(name, config)| Template::new(&super::runtime().builtin(name).unwrap(), config).unwrap())
});

/// A conversation with a tool whose parameter is a string.
static OFFERED: LazyLock<Conversation> = LazyLock::new(|| {
    let tools = r#"[{"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}]"#;
    serde_json::from_str(&format!(r#"{{"tools": {tools}}}"#)).unwrap()
});

/// The first byte says which template it is, and which prompt; the next eight, where the text is cut.
pub(super) fn run(bytes: &[u8]) {
    let Some((head, text)) = bytes.split_at_checked(9) else { return };
    let text = String::from_utf8_lossy(text);
    let template = &TEMPLATES[usize::from(head[0] & 1 | head[0] >> 2 & 2)];
    let mut cuts: Vec<usize> = Vec::new();
    let mut numbers = Bytes(&head[1..]);
    for _ in 0..8 {
        cuts.push(text.floor_char_boundary(usize::from(numbers.next()) * text.len() / 255));
    }
    cuts.sort_unstable();
    let prompt_end = if head[0] & 2 == 0 { String::new() } else { "<think>\n".to_owned() };
    let tools = if head[0] & 4 == 0 { OFFERED.tools.clone() } else { Vec::new() };
    let answer = AnswerContext { prompt_end, tools };
    let whole = read(template, &answer, &text, &[]);
    assert_eq!(read(template, &answer, &text, &cuts), whole, "{answer:?}: {text:?} cut at {cuts:?}");
}

/// What a text means that comes cut at these bytes; neighbours of one kind are joined.
fn read(template: &Template, answer: &AnswerContext, text: &str, cuts: &[usize]) -> Vec<Output> {
    let mut parser = template.parser(answer).unwrap();
    let mut joined = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([text.len()]) {
        join(&mut joined, parser.push(&text[start..end]).unwrap());
        start = end;
    }
    join(&mut joined, parser.finish().unwrap());
    joined
}

fn join(joined: &mut Vec<Output>, outputs: Vec<Output>) {
    for output in outputs {
        match (joined.last_mut(), output) {
            (Some(Output::Content(last)), Output::Content(text))
            | (Some(Output::Reasoning(last)), Output::Reasoning(text))
            | (Some(Output::ToolCallArguments(last)), Output::ToolCallArguments(text)) => last.push_str(&text),
            (_, output) => joined.push(output),
        }
    }
}
