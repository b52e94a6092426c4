//! Answers read whole and in pieces.

use proptest::prelude::*;
use wasmlx_template_support::answer::{AnswerReader, Format, TaggedCall};
use wasmlx_template_support::{AnswerContext, Output, Tool};

const ALL: Format = Format { thinking: true, tagged_calls: Some(TaggedCall::Json), bare_calls: false };
const FUNCTION: Format = Format { tagged_calls: Some(TaggedCall::Function), ..ALL };
const KEYS: Format = Format { tagged_calls: Some(TaggedCall::Keys), ..ALL };
const LLAMA: Format = Format { thinking: false, tagged_calls: None, bare_calls: true };
const PLAIN: Format = Format { thinking: false, tagged_calls: None, bare_calls: false };

/// What a reader is told of an answer to a prompt that ends so, with tools offered.
fn after(prompt_end: &str) -> AnswerContext {
    AnswerContext { prompt_end: prompt_end.to_owned(), tools: vec![tool("f", "{}"), tool("g", "{}")] }
}

fn tool(name: &str, parameters: &str) -> Tool {
    Tool { name: name.to_owned(), description: String::new(), parameters: parameters.to_owned() }
}

/// A compact view: `c:` content, `r:` reasoning, `name(arguments)` a call, with neighbours of a kind joined.
fn shown(outputs: &[Output]) -> String {
    let mut shown = String::new();
    let mut kind = "";
    for output in outputs {
        let (next, text) = match output {
            Output::Content(text) => ("|c:", text.as_str()),
            Output::Reasoning(text) => ("|r:", text.as_str()),
            Output::ToolCallStart(name) => ("|", name.as_str()),
            Output::ToolCallArguments(text) => ("(", text.as_str()),
            Output::ToolCallEnd => (")", ""),
        };
        if next != kind || next == "|" {
            shown.push_str(next);
        }
        kind = next;
        shown.push_str(text);
    }
    shown
}

fn read(format: Format, answer: &AnswerContext, pieces: &[&str]) -> String {
    let mut reader = AnswerReader::new(format, answer);
    let mut outputs: Vec<Output> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
    outputs.extend(reader.finish());
    shown(&outputs)
}

#[test]
fn answers() {
    let call = r#"<tool_call>{"name": "f", "arguments": {"a": "}</tool_call>", "b": [1]}}</tool_call>"#;
    let cases = [
        (PLAIN, " <think>x</think> <tool_call> ", "|c: <think>x</think> <tool_call> "),
        (ALL, " Hi <b>\n", "|c: Hi <b>\n"),
        (ALL, "<think>\nhm\n\nso\n</think>\n\nYes.", "|r:hm\n\nso|c:Yes."),
        (ALL, "<think>\n\n</think>\n\nYes.", "|c:Yes."),
        (ALL, "\n<think>never ended\n", "|r:never ended"),
        (ALL, "Say <think> and </think>.", "|c:Say <think> and </think>."),
        (ALL, "<thin", "|c:<thin"),
        (ALL, "", ""),
        (ALL, "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n", "|c:Let me see.|f({})"),
        (
            ALL,
            &format!("{call}\n{call}"),
            r#"|f({"a": "}</tool_call>", "b": [1]})|f({"a": "}</tool_call>", "b": [1]})"#,
        ),
        (ALL, r#"<tool_call>{"arguments": {"a": 1}, "id": 7, "name": "f"}</tool_call>"#, r#"|f({"a": 1})"#),
        (ALL, r#"<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>x"#, r#"|f({"a": 1})|c:x"#),
        (ALL, r#"<tool_call>{"name": "f"}</tool_call>"#, "|f({})"),
        (ALL, r#"<tool_call>{"name": "f", "name": "g"}</tool_call>"#, r#"|f)|c:": "g"}</tool_call>"#),
        (ALL, r#"<tool_call>{"name": "f", "arguments": {"a": 1}, "parameters": {}}"#, r#"|f({"a": 1})|c:": {}}"#),
        (ALL, "A <tool_call> is a tag.", "|c:A <tool_call> is a tag."),
        (ALL, r#"<tool_call>{"nome": 1}</tool_call>"#, r#"|c:<tool_call>{"nome": 1}</tool_call>"#),
        (ALL, r#"<tool_call>{"name": "f", "arguments": {"a": 1"#, r#"|f({"a": 1)"#),
        (ALL, r#"<tool_call>{"na"#, r#"|c:<tool_call>{"na"#),
        (ALL, r#"<think>a</think><tool_call>{"name": "f", "arguments": {}}</tool_call>"#, "|r:a|f({})"),
        (
            FUNCTION,
            "Hm.\n<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx <b>\ny\n</parameter>\n\
             </function>\n</tool_call>\n",
            r#"|c:Hm.|f({"a": 1, "b": "x <b>\ny"})"#,
        ),
        (FUNCTION, "<tool_call><function=f></function></tool_call>x", "|f({})|c:x"),
        (FUNCTION, "<tool_call><function=f><parameter=a>True</parameter></tool_call>", r#"|f({"a": true})"#),
        (FUNCTION, "<tool_call><function=f><parameter=a>[1, 2", "|f)"),
        (FUNCTION, "A <tool_call> is a tag.", "|c:A <tool_call> is a tag."),
        (FUNCTION, "<tool_call>\n<function", "|c:<tool_call>\n<function"),
        (
            KEYS,
            "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>{\"b\": 2}</arg_value>\n<arg_key>c</arg_key>\n\
             <arg_value>d e</arg_value>\n</tool_call>\n<tool_call>g</tool_call>",
            r#"|f({"a": {"b": 2}, "c": "d e"})|g({})"#,
        ),
        (KEYS, "<tool_call>f<arg_key>a</arg_key><arg_value>007</arg_value></tool_call>x", r#"|f({"a": "007"})|c:x"#),
        (KEYS, "A <tool_call> is a tag.", "|c:A <tool_call> is a tag."),
        (KEYS, "<tool_call>f<arg_key>a</ar", "|f)"),
        (LLAMA, r#"{"name": "f", "parameters": {"a": {"b": 2}}}"#, r#"|f({"a": {"b": 2}})"#),
        (LLAMA, r#" {"type": "function", "name": "f", "parameters": {}}"#, "|f({})"),
        (LLAMA, r#"<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}"#, "|f({})|g({})"),
        (LLAMA, r#"{"name": "John", "age": 3}"#, r#"|c:{"name": "John", "age": 3}"#),
        (LLAMA, r#"{"name": "John", "name": "Jack"}"#, r#"|c:{"name": "John", "name": "Jack"}"#),
        (LLAMA, r#"{"name": "John"} "#, r#"|c:{"name": "John"} "#),
        (LLAMA, "{ braces }", "|c:{ braces }"),
        (LLAMA, "<|python_tag|>print(1)", "|c:<|python_tag|>print(1)"),
        (LLAMA, "Hi {\"name\": 1}", "|c:Hi {\"name\": 1}"),
    ];
    for (format, text, expected) in cases {
        assert_eq!(read(format, &after(""), &[text]), expected, "{text}");
        let characters: Vec<String> = text.chars().map(String::from).collect();
        let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
        assert_eq!(read(format, &after(""), &characters), expected, "{text}, by characters");
    }
}

#[test]
fn arguments_in_tags_have_the_types_of_the_schema() {
    let cases = [
        (r#"{"type": "string"}"#, "007", r#""007""#),
        (r#"{"type": "string"}"#, "42", r#""42""#),
        (r#"{"type": "string"}"#, "True", r#""True""#),
        (r#"{"type": "string"}"#, "null", r#""null""#),
        (r#"{"type": "string"}"#, r#"{"a": 1}"#, r#""{\"a\": 1}""#),
        (r#"{"type": "string"}"#, " a ", r#"" a ""#),
        (r#"{"type": "integer"}"#, " 42 ", "42"),
        (r#"{"type": "number"}"#, "42", "42"),
        (r#"{"type": "number"}"#, "4.2e1", "4.2e1"),
        (r#"{"type": "boolean"}"#, "False", "false"),
        (r#"{"type": "object"}"#, r#"{"a": 1}"#, r#"{"a": 1}"#),
        (r#"{"type": "array"}"#, "[1]", "[1]"),
        // What the schema does not allow is told as it reads: the tool may say what is wrong with it.
        (r#"{"type": "integer"}"#, "many", r#""many""#),
        (r#"{"type": "boolean"}"#, "1", "1"),
        // More than one type.
        (r#"{"type": ["string", "null"]}"#, "None", "null"),
        (r#"{"type": ["string", "null"]}"#, "42", r#""42""#),
        (r#"{"type": ["string", "integer"]}"#, "42", "42"),
        (r#"{"type": ["string", "integer"]}"#, "4.2", r#""4.2""#),
        (r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#, "42", r#""42""#),
        (r#"{"oneOf": [{"type": "string"}, {"type": "null"}]}"#, "null", "null"),
        // Types that values say.
        (r#"{"enum": ["1", "2"]}"#, "1", r#""1""#),
        (r#"{"enum": [1, 2]}"#, "1", "1"),
        (r#"{"const": "1"}"#, "1", r#""1""#),
        // Types that stand elsewhere.
        (r##"{"$ref": "#/$defs/zip"}"##, "42", r#""42""#),
        (r##"{"allOf": [{"$ref": "#/$defs/zip"}]}"##, "42", r#""42""#),
        (r##"{"$ref": "#/$defs/round"}"##, "42", "42"),
        (r##"{"$ref": "#/$defs/nowhere"}"##, "42", "42"),
        // No type at all.
        ("{}", "42", "42"),
        ("true", "42", "42"),
        (r#"{"type": 7, "enum": {}, "anyOf": "string", "$ref": null}"#, "42", "42"),
    ];
    let defs =
        r##"{"zip": {"type": "string"}, "round": {"anyOf": [{"$ref": "#/$defs/round"}, {"$ref": "#/$defs/round"}]}}"##;
    for (schema, text, expected) in cases {
        let parameters = format!(r#"{{"properties": {{"a": {schema}}}, "$defs": {defs}}}"#);
        let answer = AnswerContext { tools: vec![tool("g", "{}"), tool("f", &parameters)], ..after("") };
        let function = format!("<tool_call><function=f><parameter=a>{text}</parameter></function></tool_call>");
        assert_eq!(read(FUNCTION, &answer, &[&function]), format!(r#"|f({{"a": {expected}}})"#), "{text} of {schema}");
        let keys = format!("<tool_call>f<arg_key>a</arg_key><arg_value>{text}</arg_value></tool_call>");
        assert_eq!(read(KEYS, &answer, &[&keys]), format!(r#"|f({{"a": {expected}}})"#), "{text} of {schema}");
    }
    // A tool that was not offered, a parameter that the tool has not, and a schema that is none.
    for (name, parameters) in [("h", r#"{"properties": {"a": {"type": "string"}}}"#), ("f", "{}"), ("f", "no JSON")] {
        let answer = AnswerContext { tools: vec![tool(name, parameters)], ..after("") };
        let call = "<tool_call><function=f><parameter=a>42</parameter></function></tool_call>";
        assert_eq!(read(FUNCTION, &answer, &[call]), r#"|f({"a": 42})"#, "{name}: {parameters}");
    }
}

#[test]
fn an_answer_begins_where_its_prompt_ends() {
    let (open, closed) = ("<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n<think>\n\n</think>\n\n");
    let cases = [
        (open, "hm</think>Yes", "|r:hm|c:Yes"),
        (open, "<think>\nhm\n</think>\nYes", "|r:hm|c:Yes"),
        (open, "never ended", "|r:never ended"),
        (closed, "Yes", "|c:Yes"),
        (closed, "<think>hm</think>Yes", "|r:hm|c:Yes"),
    ];
    for (prompt_end, text, expected) in cases {
        assert_eq!(read(ALL, &after(prompt_end), &[text]), expected, "{text} after {prompt_end}");
    }
    assert_eq!(read(LLAMA, &after(open), &["hm"]), "|c:hm", "a model that does not think");
}

#[test]
fn without_tools_nothing_is_a_call() {
    let calls = [
        (ALL, r#"<tool_call>{"name": "f", "arguments": {}}</tool_call>"#),
        (LLAMA, r#"{"name": "f", "parameters": {}}"#),
        (LLAMA, r#"<|python_tag|>{"name": "f", "parameters": {}}"#),
    ];
    for (format, text) in calls {
        let answer = AnswerContext { tools: Vec::new(), ..after("") };
        assert_eq!(read(format, &answer, &[text]), format!("|c:{text}"));
        assert_eq!(read(format, &answer, &["<think>hm</think>", text]).contains("|r:hm"), format.thinking);
    }
}

#[test]
fn says_what_is_certain_at_once() {
    let mut reader = AnswerReader::new(ALL, &after(""));
    let mut push = |text: &str| shown(&reader.push(text));
    assert_eq!(push("<think>let"), "|r:let");
    assert_eq!(push(" us </th"), "|r: us");
    assert_eq!(push("ink>Hello <"), "|c:Hello");
    assert_eq!(push("b> <tool"), "|c: <b>");
    assert_eq!(push("_call>{\"name\": \"f\", \"argu"), "|f");
    assert_eq!(push("ments\": {\"a\""), "({\"a\"");
    assert_eq!(push(": 1}}</tool_call>"), "(: 1})");
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<|python_tag|>",
        "<",
        "</",
        "{",
        "}",
        "\"",
        "\\",
        " ",
        "\n",
        "a",
        "é",
        ":",
        ",",
        ";",
        "{\"name\": \"f\"",
        ", \"arguments\": {\"x\": 1}",
        ", \"parameters\": {}",
        "[1, true]",
        "<function=f>",
        "<parameter=x>",
        "</parameter>",
        "</function>",
        "f<arg_key>x",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
    ]);
    prop::collection::vec(fragment, 0..14).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_do_not_matter(text in fragments(), cuts in prop::collection::vec(0_usize..64, 0..6), bits in 0_u8..32) {
        let answer = after(if bits & 2 > 0 { "<think>" } else { "" });
        let format = Format {
            thinking: bits & 1 > 0,
            tagged_calls: [None, Some(TaggedCall::Json), Some(TaggedCall::Function), Some(TaggedCall::Keys)]
                [usize::from(bits >> 2 & 3)],
            bare_calls: bits & 16 > 0,
        };
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&text[start..cut]);
            start = cut;
        }
        pieces.push(&text[start..]);
        prop_assert_eq!(read(format, &answer, &pieces), read(format, &answer, &[&text]));
    }
}
