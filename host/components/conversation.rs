//! Conversations and what models answer, as the host's own types.
//!
//! Their JSON is that of OpenAI's chat API and of Hugging Face's chat templates, so that requests, case files and
//! saved chats are all read by the same code. What the two write differently is read in either form: `content` as a
//! text or as parts, calls and tools with or without their `function` envelope, arguments as a JSON text or an object.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or any other name that the model's template knows.
    pub role: String,
    /// What it says, in pieces.
    #[serde(default, serialize_with = "write_content", deserialize_with = "read_content")]
    pub content: Vec<Part>,
    /// What the assistant thought before it answered.
    #[serde(default, alias = "reasoning_content", alias = "thinking", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Of an assistant's message: the calls it made.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's message: the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Who speaks, where several have one role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message of a role with a text.
    pub fn new(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: vec![Part::Text(text.into())], ..Self::default() }
    }

    /// What the model is told before the conversation.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new("system", text)
    }

    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new("user", text)
    }

    /// What the model answered.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new("assistant", text)
    }

    /// What a tool answered to a call.
    pub fn tool(call: impl Into<String>, result: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call.into()), ..Self::new("tool", result) }
    }

    /// The text of all its parts together.
    pub fn text(&self) -> String {
        self.content.iter().map(|Part::Text(text)| text.as_str()).collect()
    }
}

/// One piece of a message's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
}

/// A call of a tool that the model asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Which call it is, for the tool's message to name.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// A JSON object, as the model wrote it.
    pub arguments: String,
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model to read.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}

impl Tool {
    /// A tool as templates of Hugging Face are given one: it may be anything. What is no tool has neither a name nor
    /// parameters.
    pub(crate) fn of_any(value: &Value) -> Self {
        let unknown = |_| Self { name: String::new(), description: String::new(), parameters: Value::Null };
        Self::deserialize(value).unwrap_or_else(unknown)
    }
}

/// A document that the answer may draw on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// Its text.
    #[serde(alias = "contents", alias = "content")]
    pub text: String,
}

/// What a template is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// The documents that the answer may draw on.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
    /// Whether the prompt is to end with the opening of an assistant's turn.
    pub add_generation_prompt: bool,
    /// Options that templates know (`enable_thinking`). `now`, seconds since 1970 in local time, is the clock of
    /// templates that print the date.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// The whole context as Hugging Face templates take it, in place of all of the above but `options`' `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Map<String, Value>>,
}

/// What a piece of a model's text means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The answer.
    Content(String),
    /// What the model thinks before it answers.
    Reasoning(String),
    /// A tool call begins: the tool's name.
    ToolCallStart(String),
    /// A piece of its arguments, a JSON text.
    ToolCallArguments(String),
    /// The tool call is complete.
    ToolCallEnd,
}

impl Output {
    /// Adds what comes next to a piece of the same kind; gives it back where it is of another one.
    pub fn join(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Content(last), Self::Content(text))
            | (Self::Reasoning(last), Self::Reasoning(text))
            | (Self::ToolCallArguments(last), Self::ToolCallArguments(text)) => {
                last.push_str(&text);
                None
            }
            (_, next) => Some(next),
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn, or a stop string matched.
    Stop,
    /// The most tokens allowed were generated, or the context is full.
    Length,
    /// The model asks for tools to be called.
    ToolCalls,
    /// The caller broke it off.
    Cancelled,
}

/// How many tokens an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u32,
    /// Of these, taken from the KV cache.
    pub cached_tokens: u32,
    /// Of the answer.
    pub completion_tokens: u32,
}

/// One text where it is one, else a list of parts.
fn write_content<S: Serializer>(content: &[Part], serializer: S) -> Result<S::Ok, S::Error> {
    match content {
        [] => serializer.serialize_str(""),
        [Part::Text(text)] => serializer.serialize_str(text),
        parts => serializer.collect_seq(parts.iter().map(|Part::Text(text)| json!({"type": "text", "text": text}))),
    }
}

fn read_content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Part>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Parts(Vec<AnyPart>),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum AnyPart {
        Bare(String),
        Tagged { r#type: String, text: Option<String> },
    }
    let parts = match Option::deserialize(deserializer)? {
        None => return Ok(Vec::new()),
        Some(Content::Text(text)) => return Ok(vec![Part::Text(text)]),
        Some(Content::Parts(parts)) => parts,
    };
    let part = |part| match part {
        AnyPart::Bare(text) => Ok(Part::Text(text)),
        AnyPart::Tagged { r#type, text: Some(text) } if matches!(r#type.as_str(), "text" | "input_text") => {
            Ok(Part::Text(text))
        }
        AnyPart::Tagged { r#type, .. } => Err(de::Error::custom(format!(
            "a content part of type `{}` is not supported: parts must be {{\"type\": \"text\", \"text\": ...}}",
            r#type
        ))),
    };
    parts.into_iter().map(part).collect()
}

/// A list that may be written as `null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is inside of `{"type": "function", "function": {...}}`, or the value itself.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    id: Option<String>,
    #[serde(flatten)]
    inner: Inner<T>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inner<T> {
    Wrapped { function: T },
    Bare(T),
}

impl<T> Inner<T> {
    fn value(self) -> T {
        match self {
            Self::Wrapped { function } => function,
            Self::Bare(value) => value,
        }
    }
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id, name, arguments } = self;
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Function {
            name: String,
            #[serde(default)]
            arguments: Value,
        }
        let Envelope { id, inner } = Envelope::<Function>::deserialize(deserializer)?;
        let Function { name, arguments } = inner.value();
        let arguments = match arguments {
            Value::String(text) => text,
            Value::Null => "{}".to_owned(),
            object => object.to_string(),
        };
        Ok(Self { id: id.unwrap_or_default(), name, arguments })
    }
}

impl Serialize for Tool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, description, parameters } = self;
        let function = json!({"name": name, "description": description, "parameters": parameters});
        json!({"type": "function", "function": function}).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Function {
            name: String,
            #[serde(default)]
            description: String,
            #[serde(default = "no_parameters")]
            parameters: Value,
        }
        fn no_parameters() -> Value {
            json!({"type": "object", "properties": {}})
        }
        let Function { name, description, parameters } = Envelope::<Function>::deserialize(deserializer)?.inner.value();
        Ok(Self { name, description, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_in_every_form() {
        let content = |value: Value| {
            serde_json::from_value::<Message>(json!({"role": "user", "content": value})).map(|message| message.content)
        };
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(content(json!("a")).unwrap(), [text("a")]);
        assert_eq!(content(Value::Null).unwrap(), []);
        assert_eq!(content(json!([{"type": "text", "text": "a"}, "b"])).unwrap(), [text("a"), text("b")]);
        assert!(
            content(json!([{"type": "image_url", "image_url": {}}])).unwrap_err().to_string().contains("image_url")
        );
        assert_eq!(serde_json::from_str::<Message>(r#"{"role": "assistant"}"#).unwrap().content, []);
    }

    #[test]
    fn calls_and_tools_are_read_with_and_without_their_envelope() {
        let call = ToolCall { id: "c1".into(), name: "add".into(), arguments: r#"{"a":1}"#.into() };
        for value in [
            json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": r#"{"a":1}"#}}),
            json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}),
            json!({"id": "c1", "name": "add", "arguments": {"a": 1}}),
        ] {
            assert_eq!(serde_json::from_value::<ToolCall>(value).unwrap(), call);
        }
        let tool: Tool = serde_json::from_value(json!({"name": "add", "description": "Adds."})).unwrap();
        assert_eq!(tool.parameters, json!({"type": "object", "properties": {}}));
        assert_eq!(serde_json::from_value::<Tool>(serde_json::to_value(&tool).unwrap()).unwrap(), tool);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let conversation = Conversation {
            messages: vec![
                Message::system("Be brief."),
                Message { content: vec![Part::Text("a".into()), Part::Text("b".into())], ..Message::user("") },
                Message {
                    reasoning: Some("Hm.".into()),
                    tool_calls: vec![ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into() }],
                    content: Vec::new(),
                    ..Message::assistant("")
                },
                Message::tool("1", "42"),
            ],
            documents: vec![Document { title: "T".into(), text: "t".into() }],
            add_generation_prompt: true,
            options: json!({"enable_thinking": false}).as_object().unwrap().clone(),
            ..Conversation::default()
        };
        let written = serde_json::to_value(&conversation).unwrap();
        // A message without parts is written as an empty text.
        let mut read: Conversation = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read.messages[2].content, [Part::Text(String::new())]);
        read.messages[2].content.clear();
        assert_eq!(read, conversation);
        assert_eq!(written["messages"][2]["tool_calls"][0]["function"]["name"], "f");
    }
}
