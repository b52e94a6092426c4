//! Searches over a real socket.

use std::time::Instant;

use serde_json::json;
use wasmlx_hub_server::{HubServer, Repository};
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
    let query = SearchQuery { words: "model".to_owned(), limit: 20, ..SearchQuery::default() };
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
    let action =
        wasmlx_hub_server::Action::status(401, "X-Error-Message", "Invalid credentials in Authorization header");
    server.fault(wasmlx_hub_server::Fault::new("/api/models", action));
    let home = Home::new();
    let stored = Default::default();
    let machine = ModelMemory { holding: Holding::AS_STORED, bytes: None };
    let around = Surroundings { now: NOW, architectures: &[], machine, stored: &stored };
    let query = SearchQuery { limit: 5, ..SearchQuery::default() };
    let error = run(home.store.search(&client, &query, SearchOptions::default(), &around)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidAnswer, "{error}");
    assert!(error.to_string().contains("401"), "{error}");
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
