//! Chats: turns, tools, what stays of them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmlx::backend::fake::Gate;
use wasmlx::{ErrorKind, Event, FinishReason, Message, SavedChat, Tool};

use crate::support::{Folders, Notes, answers, told};

#[tokio::test]
async fn a_conversation_is_remembered_and_read_once() {
    let folders = Folders::new();
    let script = answers(&[("name is Ada", "Hello Ada."), ("What", "Ada.")]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().system("Be kind.").build().await.unwrap();
    let first = told(chat.send("My name is Ada").await.unwrap()).await.unwrap();
    assert_eq!((first.content.as_str(), first.report.finish_reason), ("Hello Ada.", FinishReason::Stop));
    let second = told(chat.send("What is my name?").await.unwrap()).await.unwrap();
    assert_eq!(second.content, "Ada.");
    // All of the first turn was read before, its answer included.
    let read = first.report.usage.prompt_tokens + "Hello Ada.".len();
    assert!(second.report.usage.cached_tokens >= read, "{:?} after {read}", second.report.usage);
    let said: Vec<(String, String)> =
        chat.messages().iter().map(|message| (message.role.clone(), message.text())).collect();
    let expected = [
        ("system", "Be kind."),
        ("user", "My name is Ada"),
        ("assistant", "Hello Ada."),
        ("user", "What is my name?"),
        ("assistant", "Ada."),
    ];
    assert_eq!(said, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
}

#[tokio::test]
async fn a_tool_is_run_and_its_result_answered() {
    let folders = Folders::new();
    let script = answers(&[
        ("weather", r#"<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>"#),
        ("sunny", "It is sunny."),
    ]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let notes = Notes::default();
    let noting = notes.clone();
    let tool = Tool::new("get_weather", "The weather.", json!({"type": "object"}), move |arguments: Value| {
        noting.add(arguments["city"].as_str().unwrap_or_default());
        async { Ok(json!("sunny")) }
    });
    let chat = model.chat().tool(tool).build().await.unwrap();
    let told = told(chat.send("How is the weather?").await.unwrap()).await.unwrap();
    assert_eq!((told.content.as_str(), told.report.finish_reason), ("It is sunny.", FinishReason::Stop));
    assert_eq!(notes.all(), ["Rome"]);
    assert!(matches!(&told.others[0], Event::ToolCall(call) if call.name == "get_weather"), "{:?}", told.others);
    assert!(matches!(&told.others[1], Event::ToolResult { result, .. } if result == "\"sunny\""), "{:?}", told.others);
    let roles: Vec<String> = chat.messages().into_iter().map(|message| message.role).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
}

/// A model that writes calls in tags writes no types: `185` may be a number or a string.
#[tokio::test]
async fn arguments_in_tags_are_what_the_tools_schema_says() {
    let folders = Folders::new();
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% if m.tool_calls %}<tool_call>\
                    <function=f></function></tool_call>{% endif %}{% endfor %}assistant: ";
    fs::write(Path::new(&folders.model()).join("chat_template.jinja"), template).unwrap();
    let script = answers(&[
        (
            "parcel",
            "<tool_call><function=send><parameter=zip>185</parameter><parameter=note>true</parameter>\
             <parameter=count>2</parameter><parameter=other>7</parameter></function></tool_call>",
        ),
        ("sent", "It is on its way."),
    ]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let notes = Notes::default();
    let noting = notes.clone();
    let note = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    let properties = json!({"zip": {"type": "string"}, "note": note, "count": {"type": "integer"}});
    let schema = json!({"type": "object", "properties": properties});
    let tool = Tool::new("send", "Sends a parcel.", schema, move |arguments: Value| {
        noting.add(arguments.to_string());
        async { Ok(json!("sent")) }
    });
    let chat = model.chat().tool(tool).build().await.unwrap();
    let told = told(chat.send("Send the parcel").await.unwrap()).await.unwrap();
    assert_eq!(told.content, "It is on its way.");
    let called: Value = serde_json::from_str(&notes.all()[0]).unwrap();
    assert_eq!(called, json!({"zip": "185", "note": "true", "count": 2, "other": 7}));
}

#[tokio::test]
async fn a_tool_that_fails_is_told_to_the_model() {
    let folders = Folders::new();
    let script = answers(&[
        ("weather", r#"<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>"#),
        ("no such city", "I do not know."),
    ]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let tool = Tool::new("get_weather", "", json!({}), |_| async { Err("no such city".to_owned()) });
    let chat = model.chat().tool(tool).build().await.unwrap();
    assert_eq!(told(chat.send("The weather?").await.unwrap()).await.unwrap().content, "I do not know.");
}

#[tokio::test]
async fn a_tool_of_the_applications_is_handed_back() {
    let folders = Folders::new();
    let script = answers(&[
        ("light", r#"<tool_call>{"name": "switch", "arguments": {"on": true}}</tool_call>"#),
        ("is on", "There is light."),
    ]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().tool(Tool::declared("switch", "", json!({}))).build().await.unwrap();
    let asked = told(chat.send("Let there be light").await.unwrap()).await.unwrap();
    assert_eq!(asked.report.finish_reason, FinishReason::ToolCalls);
    let [Event::ToolCall(call)] = &asked.others[..] else { panic!("{:?}", asked.others) };
    let answered = chat.send_messages(vec![Message::tool(&call.id, "it is on")]).await.unwrap();
    assert_eq!(told(answered).await.unwrap().content, "There is light.");
}

#[tokio::test]
async fn a_cancelled_answer_keeps_what_was_said() {
    let folders = Folders::new();
    let gate = Gate::new();
    let script = answers(&[("story", "Once upon a time there was a fox.")]).hold_pass(8, &gate);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut turn = chat.send("A story").await.unwrap();
    let canceller = turn.canceller();
    assert!(matches!(turn.next().await, Some(Ok(Event::Content(_)))));
    canceller.cancel();
    gate.open();
    let told = told(turn).await.unwrap();
    assert_eq!(told.report.finish_reason, FinishReason::Cancelled);
    let last = chat.messages().pop().expect("a message");
    assert_eq!(last.role, "assistant");
    assert!("Once upon a time there was a fox.".starts_with(&last.text()) && !last.text().is_empty());
}

#[tokio::test]
async fn a_dropped_turn_leaves_no_trace() {
    let folders = Folders::new();
    let script = answers(&[("story", "Once upon a time."), ("Hi", "Hello.")]);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut turn = chat.send("A story").await.unwrap();
    turn.next().await.unwrap().unwrap();
    drop(turn);
    let told = told(chat.send("Hi").await.unwrap()).await.unwrap();
    assert_eq!(told.content, "Hello.");
    assert_eq!(told.report.tokens.len(), "Hello.".len() + 1, "the dropped turn's tokens are not counted");
    assert_eq!(chat.messages().len(), 2);
}

#[tokio::test]
async fn retry_clear_and_the_system_prompt() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().system("Be kind.").build().await.unwrap();
    told(chat.send("Hi").await.unwrap()).await.unwrap();
    assert_eq!(told(chat.retry().await.unwrap()).await.unwrap().content, "Hello.");
    assert_eq!(chat.messages().len(), 3);
    chat.set_system(None).await.unwrap();
    assert_eq!(chat.messages()[0].role, "user");
    chat.set_system(Some("Be brief.".to_owned())).await.unwrap();
    chat.clear().await.unwrap();
    assert_eq!(chat.messages(), [Message::system("Be brief.")]);
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn a_conversation_goes_on_elsewhere() {
    let folders = Folders::new();
    let host = folders.host(answers(&[("name is Ada", "Hello Ada."), ("What", "Ada.")]));
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    told(chat.send("My name is Ada").await.unwrap()).await.unwrap();
    let saved = chat.save().await.unwrap().to_json();
    let elsewhere = model.chat().build().await.unwrap();
    elsewhere.load(&SavedChat::from_json(&saved).unwrap()).await.unwrap();
    assert_eq!(elsewhere.messages(), chat.messages());
    assert_eq!(told(elsewhere.send("What is my name?").await.unwrap()).await.unwrap().content, "Ada.");
}

#[tokio::test]
async fn settings_change_between_turns() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello there.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().logprobs(2).build().await.unwrap();
    chat.set_max_tokens(5);
    let short = told(chat.send("Hi").await.unwrap()).await.unwrap();
    assert_eq!((short.content.as_str(), short.report.finish_reason), ("Hello", FinishReason::Length));
    let logprobs = short.report.logprobs.expect("they were asked for");
    assert!(logprobs.iter().all(|entry| entry.as_ref().is_some_and(|entry| entry.top.len() == 2)), "{logprobs:?}");
    chat.set_max_tokens(64);
    chat.set_template_option("unused", true).await.unwrap();
    chat.set_sampler_param("top_k", 3).await.unwrap();
    assert!(chat.set_sampler_param("topk", 3).await.is_err());
    assert_eq!(chat.settings()["sampler_params"], json!({"top_k": 3}));
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello there.");
}

/// Only an answer that is complete takes the place of the one before.
#[tokio::test]
async fn a_retry_that_fails_or_is_dropped_keeps_the_old_answer() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    assert_eq!(chat.retry().await.map(drop).unwrap_err().kind(), ErrorKind::InvalidInput);
    told(chat.send("Hi").await.unwrap()).await.unwrap();
    let said = chat.messages();
    let mut turn = chat.retry().await.unwrap();
    assert_eq!(chat.retry().await.map(drop).unwrap_err().kind(), ErrorKind::Busy);
    turn.next().await.unwrap().unwrap();
    drop(turn);
    assert_eq!(chat.save().await.unwrap().messages, said);
    told(chat.retry().await.unwrap()).await.unwrap();
    assert_eq!(chat.messages(), said, "one answer, not two");
    model.unload().await.unwrap();
    let failed = told(chat.retry().await.unwrap()).await.map(drop);
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unloaded);
    assert_eq!(chat.messages(), said);
}

#[tokio::test]
async fn a_sampler_that_does_not_know_the_parameters_drops_them_and_says_which() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().sampler_param("top_k", 3).sampler_param("xtc_probability", 0.5).build().await.unwrap();
    assert!(chat.swap_sampler("classic").await.unwrap().is_empty());
    let dropped = chat.swap_sampler("mirostat").await.unwrap();
    assert_eq!(Value::Object(dropped), json!({"top_k": 3, "xtc_probability": 0.5}));
    assert_eq!(chat.settings()["sampler_params"], json!({}));
}
