//! Completions: prompts as they stand.

use wasmlx::backend::fake::{END, FakeScript, START};
use wasmlx::{Chain, Event, FinishReason, Prompt, Segment};

use crate::support::{Folders, answers};

#[tokio::test]
async fn text_segments_and_ids_are_gone_on_with() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let text = "user: Hi\nassistant: ";
    let ids: Vec<u32> = text.bytes().map(u32::from).collect();
    let prompts = [
        Prompt::from(text),
        Prompt::from(vec![Segment::Trusted("user: ".into()), Segment::Untrusted("Hi\nassistant: ".into())]),
        Prompt::from(ids),
    ];
    for prompt in prompts {
        let mut completion = model.complete(prompt.clone()).start().await.unwrap();
        let mut told = String::new();
        while let Some(event) = completion.next().await {
            match event.unwrap() {
                Event::Content(text) => told.push_str(&text),
                Event::Finished(report) => {
                    assert_eq!((report.finish_reason, report.usage.prompt_tokens), (FinishReason::Stop, text.len()));
                    assert_eq!(report.tokens.last(), Some(&END));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, "Hello.", "{prompt:?}");
    }
}

#[tokio::test]
async fn markers_count_in_text_and_not_in_untrusted_segments() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let marker = "<|start|>";
    let count = async |prompt: Prompt| {
        let report = model.complete(prompt).max_tokens(1).start().await.unwrap().finish().await.unwrap();
        report.usage.prompt_tokens
    };
    assert_eq!(count(marker.into()).await, 1);
    assert_eq!(count(vec![Segment::Control(marker.into())].into()).await, 1);
    assert_eq!(count(vec![Segment::Untrusted(marker.into())].into()).await, marker.len());
    assert_eq!(model.encode(marker).unwrap().len(), marker.len());
    assert_eq!(model.decode(&[START]).unwrap(), marker);
}

#[tokio::test]
async fn stops_end_tokens_and_the_native_chain() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("", "one two three")])).load(&folders.model()).await.unwrap();
    let report =
        async |completion: wasmlx::CompletionBuilder| completion.start().await.unwrap().finish().await.unwrap();
    let stopped = report(model.complete("assistant: ").stops(["two"])).await;
    assert_eq!(stopped.finish_reason, FinishReason::Stop);
    assert!(stopped.tokens.len() < "one two three".len());
    let on = report(model.complete("assistant: ").ignore_eos(true).max_tokens(20)).await;
    assert_eq!((on.finish_reason, on.tokens.len()), (FinishReason::Length, 20));
    let native = report(model.complete("assistant: ").sampler(Chain::greedy())).await;
    assert_eq!(native.tokens.len(), "one two three".len() + 1);
}

#[tokio::test]
async fn a_seed_decides() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let ids = async |seed| {
        let completion =
            model.complete("Hi").sampler_param("temperature", 1).seed(seed).ignore_eos(true).max_tokens(16);
        completion.start().await.unwrap().finish().await.unwrap().tokens
    };
    assert_eq!(ids(1).await, ids(1).await);
    assert_ne!(ids(1).await, ids(2).await);
}

#[tokio::test]
async fn it_is_cancelled_from_elsewhere() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let completion = model.complete("Hi").ignore_eos(true).max_tokens(3000).start().await.unwrap();
    completion.canceller().cancel();
    let report = completion.finish().await.unwrap();
    assert_eq!(report.finish_reason, FinishReason::Cancelled);
    assert!(report.tokens.len() < 3000);
}
