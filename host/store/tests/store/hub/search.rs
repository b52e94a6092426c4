//! Searches over a real socket.

use std::time::Instant;

use serde_json::json;
use wasmlx_hub_server::{Action, Fault, HubServer, Repository};
use wasmlx_store::hub::{AnswerSource, HubClient, HubOptions, SearchAnswer, SearchOptions};
use wasmlx_store::{Holding, ModelMemory, SearchQuery, StoreErrorKind, Surroundings};

use super::{run, short};
use crate::support::Home;

/// 2025-10-01.
const NOW: u64 = 1_759_276_800;

/// A hub with so many models, and a client of it.
fn hub(models: u64) -> (HubServer, HubClient) {
    let server = HubServer::start();
    for number in 0..models {
        let config = json!({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"],
            "quantization_config": {"bits": 4, "group_size": 64}});
        server.add(
            Repository::new(&format!("maker/model-{number}-4bit"))
                .field("downloads", number)
                .field("pipeline_tag", "text-generation")
                .field("tags", json!(["mlx", "safetensors", "qwen3", "4-bit", "license:apache-2.0"]))
                .field("config", config)
                .field("safetensors", json!({"parameters": {"BF16": 1000, "U32": 100_000 + number}})),
        );
    }
    let options = HubOptions { endpoints: vec![server.url().to_owned()], patience: short(), ..HubOptions::default() };
    let client = HubClient::new(options).unwrap();
    (server, client)
}

fn search(home: &Home, hub: &HubClient, options: SearchOptions, now: u64) -> SearchAnswer {
    search_for("model", 20, home, hub, options, now)
}

fn search_for(
    words: &str,
    limit: usize,
    home: &Home,
    hub: &HubClient,
    options: SearchOptions,
    now: u64,
) -> SearchAnswer {
    let query = SearchQuery { words: words.to_owned(), limit, ..SearchQuery::default() };
    let stored = home.store.stored_ids().unwrap();
    let machine = ModelMemory { holding: Holding::AS_STORED, bytes: None };
    let around = Surroundings { now, architectures: &["qwen3"], machine, stored: &stored };
    run(home.store.search(hub, &query, options, &around)).unwrap()
}

#[test]
fn who_only_reads_keeps_nothing() {
    let (server, client) = hub(3);
    let home = Home::new();
    let store = wasmlx_store::Store::open_read_only(home.store.home());
    let stored = Default::default();
    let machine = ModelMemory { holding: Holding::AS_STORED, bytes: None };
    let around = Surroundings { now: NOW, architectures: &[], machine, stored: &stored };
    let query = SearchQuery { limit: 5, ..SearchQuery::default() };
    let answer = run(store.search(&client, &query, SearchOptions::default(), &around)).unwrap();
    assert_eq!(answer.source, AnswerSource::Hub { endpoint: server.url().to_owned() });
    assert_eq!(answer.models.len(), 3);
    assert!(!home.store.home().exists());
}

/// What a hub refuses is an error: what is kept is no answer to somebody who may not ask.
#[test]
fn a_refusal_is_told() {
    let (server, client) = hub(1);
    let action = Action::status(401, "X-Error-Message", "Invalid credentials in Authorization header");
    server.fault(Fault::new("/api/models", action));
    let home = Home::new();
    let stored = Default::default();
    let machine = ModelMemory { holding: Holding::AS_STORED, bytes: None };
    let around = Surroundings { now: NOW, architectures: &[], machine, stored: &stored };
    let query = SearchQuery { limit: 5, ..SearchQuery::default() };
    let error = run(home.store.search(&client, &query, SearchOptions::default(), &around)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
}

#[test]
fn a_page_that_left_too_few_is_not_asked_for_again() {
    let (server, client) = hub(150);
    let answer = search_for("model", 120, &Home::new(), &client, SearchOptions::default(), NOW);
    assert_eq!((answer.models.len(), server.requests().len()), (120, 2));
}

#[test]
fn what_is_no_hub_gives_way_to_what_is_known_here() {
    let (server, client) = hub(0);
    server.add(Repository::new("maker/qwen3"));
    let home = Home::new();
    let refresh = SearchOptions { refresh: true, ..SearchOptions::default() };
    let ask = || search_for("qwen3", 9, &home, &client, refresh, NOW);
    // As a network does that wants a login first.
    let portal = || Fault::new("/api/models", Action::TornJson);
    server.fault(portal());
    let answer = ask();
    assert_eq!(answer.source, AnswerSource::Offline);
    assert!(!answer.models.is_empty() && answer.notice.unwrap().contains("not understood"));
    server.clear_faults();
    let kept = ask();
    assert!(matches!(kept.source, AnswerSource::Hub { .. }));
    server.fault(portal());
    let answer = ask();
    assert!(matches!(answer.source, AnswerSource::Cache { .. }), "{:?}", answer.source);
    assert_eq!(answer.models, kept.models);
}

/// Says how much sooner a kept answer is there than the hub's own, over loopback and on connections that stay open: the
/// hub's best case.
#[test]
#[ignore = "a measurement, to be run alone: --nocapture tells the ratio"]
fn a_kept_answer_is_there_sooner() {
    let (_server, client) = hub(100);
    let home = Home::new();
    let refresh = SearchOptions { refresh: true, ..SearchOptions::default() };
    let mut ratios: Vec<f64> = Vec::new();
    for _ in 0..30 {
        let start = Instant::now();
        let asked = search(&home, &client, refresh, NOW);
        let hub = start.elapsed();
        let start = Instant::now();
        let kept = search(&home, &client, SearchOptions::default(), NOW);
        let cache = start.elapsed();
        assert_eq!(asked.models, kept.models);
        println!("hub {:6.2} ms, cache {:6.2} ms", hub.as_secs_f64() * 1e3, cache.as_secs_f64() * 1e3);
        ratios.push(hub.as_secs_f64() / cache.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("the hub takes {:.1} times as long ({:.1} to {:.1})", ratios[15], ratios[0], ratios[29]);
}
