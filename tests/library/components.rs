//! Components by themselves, and components that are swapped while a chat goes on.

use serde_json::{Map, json};
use wasmlx::backend::fake::FakeScript;
use wasmlx::{AnswerContext, CaseOutcome, ComponentRef, Conversation, ErrorKind, Host, Message, Output, Segment};

use crate::guests::{GOOD, Guest};
use crate::support::{Folders, answers, told};
use crate::trapping::trapping;

fn host() -> (Folders, Host) {
    let folders = Folders::new();
    let host = folders.host(FakeScript::new());
    (folders, host)
}

#[test]
fn a_template_needs_no_model() {
    let (_folders, host) = host();
    let template = host.template("chatml", &json!({})).unwrap();
    let conversation = Conversation { messages: vec![Message::user("Hi")], ..Conversation::default() };
    let segments = template.render(&conversation).unwrap();
    assert!(segments.contains(&Segment::Untrusted("Hi".to_owned())), "{segments:?}");
    assert!(segments.contains(&Segment::Control("<|im_start|>".to_owned())), "{segments:?}");
    let outputs = template.parse(&AnswerContext::default(), ["<thi", "nk>Hm.</think>", "Yes."]).unwrap();
    let joined: String = outputs.iter().map(|output| format!("{output:?}")).collect();
    assert!(matches!(outputs.first(), Some(Output::Reasoning(_))), "{joined}");
    template.stops().unwrap();
}

#[test]
fn a_template_is_told_of_a_model_that_is_not_loaded() {
    let (folders, host) = host();
    let config = host.template_config(Some(&folders.model()), false).unwrap();
    assert!(config["chat_template"].as_str().is_some_and(|source| source.contains("assistant: ")), "{config}");
    let template = host.template("jinja", &config).unwrap();
    let conversation: Conversation =
        serde_json::from_value(json!({"messages": [{"role": "user", "content": "Hi"}]})).unwrap();
    let text: String = template.render(&conversation).unwrap().iter().map(Segment::text).collect();
    assert_eq!(text, "user: Hi\nassistant: ");
}

#[tokio::test]
async fn a_plan_is_the_hosts_own_chain() {
    let (_folders, host) = host();
    let params = json!({"temperature": 0.5, "top_p": 1, "top_k": 7}).as_object().unwrap().clone();
    let chain = host.plan("default-policy", &params).await.unwrap().expect("a plan");
    assert_eq!((chain.temperature, chain.top_k), (0.5, Some(7)));
    assert_eq!(host.plan("mirostat", &Map::new()).await.unwrap(), None);
}

#[tokio::test]
async fn cases_are_run_and_reported() {
    let (_folders, host) = host();
    let folder = tempfile::tempdir().unwrap();
    let cases = json!([
        {"name": "right", "params": {"temperature": 0, "top_p": 1}, "plan": [{"temperature": 0}]},
        {"name": "wrong", "params": {"temperature": 0, "top_p": 1}, "plan": null},
    ]);
    std::fs::write(folder.path().join("plans.json"), cases.to_string()).unwrap();
    let report = host.test_component("default-policy", folder.path()).await.unwrap();
    assert_eq!((report.component.as_str(), report.passed(), report.failed()), ("default-policy", 1, 1));
    assert_eq!(report.cases[0].outcome, CaseOutcome::Passed);
    assert!(matches!(&report.cases[1].outcome, CaseOutcome::Failed { expected, .. } if expected == "no plan"));
    let error = host.test_component("default-policy", folder.path().join("none")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_case_ends_an_agent_that_prints_without_end() {
    let (_folders, host) = host();
    let folder = tempfile::tempdir().unwrap();
    let cases = json!([{"name": "prints", "args": [], "error": "it printed more than 64 MiB"}]);
    std::fs::write(folder.path().join("runs.json"), cases.to_string()).unwrap();
    let agent = Guest { special: Some("prints-without-end"), ..GOOD }.agent_bytes();
    let agent = ComponentRef::Bytes { name: "prints".to_owned(), bytes: agent.into() };
    let report = host.test_component(agent, folder.path()).await.unwrap();
    assert_eq!(report.cases[0].outcome, CaseOutcome::Passed);
}

#[tokio::test]
async fn each_slot_is_given_another_component() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().report.cost.boundary_calls, 0);
    chat.swap_sampler("classic").await.unwrap();
    let report = told(chat.send("Hi").await.unwrap()).await.unwrap().report;
    assert_eq!(report.cost.boundary_calls, report.usage.completion_tokens as u64);
    chat.swap_template("jinja").await.unwrap();
    let report = told(chat.send("Hi").await.unwrap()).await.unwrap().report;
    // What was read stays read: the same template writes the same text.
    assert!(report.usage.cached_tokens > 30, "{:?}", report.usage);
    chat.swap_chat("chat").await.unwrap();
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
    let settings = chat.settings();
    assert_eq!((&settings["sampler"], &settings["chat"]), (&json!("classic"), &json!("chat")));
}

#[tokio::test]
async fn a_component_that_cannot_take_the_slot_leaves_the_old_one() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let trap = |world: &str| ComponentRef::Bytes { name: "trap".to_owned(), bytes: trapping(world).into() };
    let template = chat.swap_template(trap("prompt-template")).await.unwrap_err();
    assert_eq!(template.kind(), ErrorKind::ComponentFailed, "{template}");
    let sampler = chat.swap_sampler(trap("sampling-policy")).await.unwrap_err();
    assert_eq!(sampler.kind(), ErrorKind::ComponentFailed, "{sampler}");
    let component = chat.swap_chat(trap("chat-component")).await.unwrap_err();
    assert_eq!(component.kind(), ErrorKind::ComponentFailed, "{component}");
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}
