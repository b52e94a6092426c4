//! Structured output: what the grammars of the host, and policies that bring their own, promise a reader.

use serde_json::{Value, json};
use wasmlx::backend::fake::{END, FakeScript, VOCABULARY_SIZE};
use wasmlx::{Chain, Chat, ComponentRef, ErrorKind, Event, FinishReason, Model, Sampler};

use crate::guests::{GOOD, Guest, component};
use crate::support::{Folders, told};

/// A guest of this repository, as `cargo xtask guests` has built it.
fn guest(name: &str) -> Sampler {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components").join(name);
    ComponentRef::Path(path.with_extension("wasm")).into()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "minimum": 0, "maximum": 130}},
        "required": ["name", "age"],
        "additionalProperties": false
    })
}

fn is_person(text: &str) -> bool {
    let person: Value = serde_json::from_str(text).expect("JSON");
    let name = person["name"].as_str().is_some_and(|name| name.chars().count() <= 6);
    name && person["age"].as_u64().is_some_and(|age| age <= 130) && person.as_object().is_some_and(|all| all.len() == 2)
}

/// The text of a completion, whether it came to its end or not.
async fn completed(completion: wasmlx::CompletionBuilder) -> (String, wasmlx::Result<FinishReason>) {
    let mut text = String::new();
    let mut completion = match completion.start().await {
        Ok(completion) => completion,
        Err(error) => return (text, Err(error)),
    };
    while let Some(event) = completion.next().await {
        match event {
            Ok(Event::Content(piece)) => text.push_str(&piece),
            Ok(Event::Finished(report)) => return (text, Ok(report.finish_reason)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (text, Err(error)),
        }
    }
    panic!("{text:?} had no end")
}

/// A model that says anything, by a seed.
async fn model(folders: &Folders, seed: u64) -> Model {
    folders.host(FakeScript::new().seed(seed)).load(&folders.model()).await.expect("a model")
}

fn warm(completion: wasmlx::CompletionBuilder, seed: u64) -> wasmlx::CompletionBuilder {
    completion.sampler_param("temperature", 1.0).seed(seed).max_tokens(600)
}

#[tokio::test]
async fn whatever_a_model_says_it_is_of_the_schema() {
    let folders = Folders::new();
    for seed in 0..8 {
        let model = model(&folders, seed).await;
        let (text, end) = completed(warm(model.complete("abc").json_schema(schema()), seed)).await;
        assert_eq!(end.unwrap(), FinishReason::Stop, "{text}");
        assert!(is_person(&text), "{text}");
        let chat = model.chat().json_schema(schema()).sampler_param("temperature", 1.0).seed(seed).max_tokens(600);
        let chat = chat.build().await.unwrap();
        let answer = told(chat.send("Who?").await.unwrap()).await.unwrap();
        assert!(is_person(&answer.content), "{}", answer.content);
        assert_eq!(chat.messages().len(), 2);
    }
}

#[tokio::test]
async fn expressions_and_lark_and_an_answer_that_is_cut() {
    let folders = Folders::new();
    let model = model(&folders, 1).await;
    let (text, end) = completed(model.complete("abc").regex("(red|blue) [0-9]{2}")).await;
    assert_eq!(end.unwrap(), FinishReason::Stop);
    assert!(text.starts_with("red ") || text.starts_with("blue "), "{text}");
    let (text, _) = completed(model.complete("abc").lark(r#"start: "yes" | "no""#)).await;
    assert!(["yes", "no"].contains(&text.as_str()), "{text}");
    let (text, end) = completed(model.complete("abc").regex("[0-9]{40}").max_tokens(9)).await;
    assert_eq!((text.len(), end.unwrap()), (9, FinishReason::Length));
}

#[tokio::test]
async fn what_is_no_grammar_is_told_with_its_place() {
    let folders = Folders::new();
    let model = model(&folders, 1).await;
    let wrong = json!({"type": "object", "properties": {"age": {"type": "intger"}}});
    let error = model.chat().json_schema(wrong.clone()).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "the JSON Schema cannot be used: at /properties/age: Invalid type: intger");
    let (_, refused) = completed(model.complete("abc").regex("a(b")).await;
    assert_eq!(refused.unwrap_err().to_string(), "the regular expression cannot be used: at byte 1: unclosed group");

    let chat = model.chat().regex("one").build().await.unwrap();
    assert!(chat.set_json_schema(Some(wrong)).await.is_err());
    let told_one = told(chat.send("Say").await.unwrap()).await.unwrap();
    assert_eq!(told_one.content, "one", "what was set before stays");
    chat.set_regex(Some("two".into())).await.unwrap();
    assert_eq!(chat.settings()["grammar"], json!({"regex": "two"}));
    assert_eq!(told(chat.send("Say").await.unwrap()).await.unwrap().content, "two");
    chat.set_lark(None).await.unwrap();
    assert_eq!(chat.settings()["grammar"], Value::Null);
}

#[tokio::test]
async fn reasoning_that_the_prompt_opens_comes_first() {
    let folders = Folders::new();
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>";
    std::fs::write(std::path::Path::new(&folders.model()).join("chat_template.jinja"), template).unwrap();
    let script = FakeScript::new().scores(|tokens| {
        let bytes: Vec<u8> = tokens.iter().filter_map(|&token| u8::try_from(token).ok()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let answered = text.rsplit_once("assistant: <think>").map_or("", |(_, answered)| answered);
        let next = b"Hm, who?</think>\n\nI would say".get(answered.len()).map_or(END, |&byte| byte.into());
        (0..VOCABULARY_SIZE).map(|token| if token == next { 9.0 } else { 0.0 }).collect()
    });
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().regex("[A-Z][a-z]{2}").build().await.unwrap();
    let answer = told(chat.send("Who?").await.unwrap()).await.unwrap();
    assert_eq!(answer.content.len(), 3, "{}", answer.content);
    let reasoning: String = answer
        .others
        .iter()
        .map(|event| match event {
            Event::Reasoning(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasoning.trim(), "Hm, who?");
}

/// A chat whose answers are of a grammar of its own.
fn grammar_chat(grammar: u32) -> ComponentRef {
    let module = Guest { operations: grammar, ..GOOD }.module("grammar-chat");
    let bytes = component(&module, "chat-component", "0.1.0");
    ComponentRef::Bytes { name: format!("grammar-{grammar}"), bytes: bytes.into() }
}

#[tokio::test]
async fn a_chat_says_what_its_answers_look_like() {
    let folders = Folders::new();
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| (10..100).contains(&number));
    let is_colour = |text: &str| text.len() < 8 && (text.starts_with("red ") || text.starts_with("blue "));
    let is_word = |text: &str| ["yes", "no"].contains(&text);
    for seed in 0..4 {
        let model = model(&folders, seed).await;
        let chat = |grammar| model.chat().chat_component(grammar_chat(grammar)).sampler_param("temperature", 1.0);
        for (grammar, is_of_it) in [is_number as fn(&str) -> bool, is_colour, is_word].into_iter().enumerate() {
            let chat = chat(grammar as u32).seed(seed).build().await.unwrap();
            let answer = told(chat.send("Say").await.unwrap()).await.unwrap();
            assert!(is_of_it(&answer.content), "grammar {grammar}: {}", answer.content);
            assert_eq!(answer.report.finish_reason, FinishReason::Stop);
        }
    }
    let model = model(&folders, 1).await;
    let chat = model.chat().chat_component(grammar_chat(1)).regex("three").build().await.unwrap();
    let answer = told(chat.send("Say").await.unwrap()).await.unwrap();
    assert_eq!(answer.content, "three", "what the user says holds");
    let chat = model.chat().chat_component(grammar_chat(3)).build().await.unwrap();
    let error = told(chat.send("Say").await.unwrap()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("unclosed group"), "{error}");
}

async fn json_only(model: &Model, params: Value) -> Chat {
    let params = params.as_object().expect("an object").clone();
    model.chat().sampler(guest("json-only")).sampler_params(params).seed(3).max_tokens(600).build().await.unwrap()
}

#[tokio::test]
async fn a_policy_may_constrain_itself() {
    let folders = Folders::new();
    for seed in 0..4 {
        let model = model(&folders, seed).await;
        let chat = json_only(&model, json!({"schema": schema(), "temperature": 1})).await;
        let answer = told(chat.send("Who?").await.unwrap()).await.unwrap();
        assert!(is_person(&answer.content), "{}", answer.content);
        assert_eq!(answer.report.finish_reason, FinishReason::Stop);
    }
}

#[tokio::test]
async fn a_json_only_policy_that_dies_lets_no_free_text_through() {
    let folders = Folders::new();
    let model = model(&folders, 5).await;
    let whole = {
        let chat = json_only(&model, json!({"schema": schema(), "temperature": 1})).await;
        told(chat.send("Who?").await.unwrap()).await.unwrap().content
    };
    let chat = json_only(&model, json!({"schema": schema(), "temperature": 1, "dies_after": 12})).await;
    let mut turn = chat.send("Who?").await.unwrap();
    let mut streamed = String::new();
    let error = loop {
        match turn.next().await.expect("an end") {
            Ok(Event::Content(text)) => streamed.push_str(&text),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ComponentFailed);
    assert!(error.to_string().contains("json-only"), "{error}");
    assert_eq!(streamed, whole[..streamed.len()], "what came is the beginning of the JSON text, and nothing else");
    assert!(streamed.len() <= 12 && serde_json::from_str::<Value>(&streamed).is_err());
    assert!(turn.next().await.is_none());
    drop(turn);
    assert!(chat.messages().is_empty(), "the turn is taken back");
    // Nothing took its place: it dies again.
    assert!(told(chat.send("Who?").await.unwrap()).await.is_err());
}

#[tokio::test]
async fn a_guests_own_automaton_allows_what_the_hosts_grammar_does() {
    let folders = Folders::new();
    let expression = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
    for seed in 0..24 {
        let model = model(&folders, seed).await;
        let plain = Chain { temperature: 1.0, ..Chain::default() };
        let by_host = model.complete("abc").sampler(plain).regex(expression).seed(seed).max_tokens(600);
        let (by_host, _) = completed(by_host).await;
        let by_guest = model.complete("abc").sampler(guest("dates")).seed(seed).max_tokens(600);
        let (by_guest, end) = completed(by_guest).await;
        assert_eq!((by_guest, end.unwrap()), (by_host.clone(), FinishReason::Stop), "{by_host}");
    }
}

#[tokio::test]
async fn a_policy_that_breaks_the_users_grammar_fails() {
    let folders = Folders::new();
    let model = model(&folders, 1).await;
    // Every date begins with a digit, and every answer must not.
    let (text, end) = completed(model.complete("abc").sampler(guest("dates")).regex("[a-z]+")).await;
    assert_eq!((text.as_str(), end.unwrap_err().kind()), ("", ErrorKind::ComponentFailed));
}

#[tokio::test]
async fn forbidden_words_never_reach_the_reader() {
    let folders = Folders::new();
    let words = ["bab", "abba", "aab", "cc"];
    let mut went_back = 0;
    for seed in 0..40 {
        // A model that likes three letters above all.
        let script = FakeScript::new().scores(move |tokens| {
            let mut scores = vec![-30.0; VOCABULARY_SIZE as usize];
            let hash = tokens.iter().fold(seed, |hash: u64, &token| {
                (hash ^ u64::from(token)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
            });
            (0..3).for_each(|letter| scores[97 + letter] = (hash >> (8 * letter) & 0xff) as f32 / 64.0);
            scores
        });
        let model = folders.host(script).load(&folders.model()).await.unwrap();
        let completion = model.complete("xyz").sampler(guest("no-words")).sampler_param("words", json!(words));
        // An answer may be cut anywhere.
        let length = 3 + seed as usize % 29;
        let mut completion = completion.seed(seed).max_tokens(length).start().await.unwrap();
        let mut text = String::new();
        while let Some(event) = completion.next().await {
            match event.unwrap() {
                Event::Content(piece) => {
                    text.push_str(&piece);
                    assert!(!words.iter().any(|word| text.contains(word)), "{text}");
                }
                Event::Finished(report) => {
                    // Where each of the three would complete a word or was gone back from, another token comes, which may
                    // be the end.
                    let count = report.tokens.len();
                    assert!(count == length || count < length && report.finish_reason == FinishReason::Stop);
                    // Each token is a call; what is more, it went back for.
                    went_back += u64::from(report.cost.boundary_calls > count as u64 + 1);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(went_back > 5, "it went back in {went_back} answers of 40");
}
