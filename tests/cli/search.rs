//! `wasmlx search` against a hub on this machine, and without one.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use wasmlx_hub_server::{Action, Fault, HubServer, Repository};

use crate::support::{Ran, ran, wasmlx};

/// A hub with the models of the store's search cases.
fn hub() -> HubServer {
    let server = HubServer::start();
    let answer = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/store/tests/search-cases/answers/usual.json");
    let models: Vec<Value> = serde_json::from_slice(&fs::read(answer).unwrap()).unwrap();
    for model in &models {
        let mut repository = Repository::new(model["id"].as_str().unwrap());
        for (name, value) in model.as_object().unwrap() {
            repository = repository.field(name, value.clone());
        }
        server.add(repository);
    }
    server
}

/// A search that asks a hub at an address, with a home of its own. How a model would be held, and so its memory, depends
/// on the machine, which is made out of the rows.
fn search(home: &Path, hub: &str, arguments: &[&str]) -> Command {
    let mut command = wasmlx(&[&["search"], arguments].concat());
    command.env("WASMLX_HOME", home).env("HF_ENDPOINT", hub);
    for name in ["HF_TOKEN", "HF_HUB_OFFLINE", "WASMLX_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

fn ids(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    json["models"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_search_is_a_table_for_people() {
    let (hub, home) = (hub(), tempfile::tempdir().unwrap());
    let found = ran(&mut search(home.path(), hub.url(), &["qwen3", "--limit", "8", "--sort", "likes"])).ok();
    // Without the memory, which is the machine's.
    let table: Vec<String> = found
        .stdout
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
            let shown: Vec<&str> = words.iter().enumerate().filter(|(at, _)| *at != 5).map(|(_, word)| *word).collect();
            shown.join(" | ")
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn an_answer_serves_again_until_it_is_to_be_fresh() {
    let (hub, home) = (hub(), tempfile::tempdir().unwrap());
    let arguments = ["qwen3", "--runnable", "--json"];
    let first = ran(&mut search(home.path(), hub.url(), &arguments)).ok();
    assert_eq!(first.json()["source"], "hub");
    assert_eq!(first.json()["endpoint"], hub.url());
    let asked = hub.requests().len();

    let again = ran(&mut search(home.path(), hub.url(), &arguments)).ok();
    assert_eq!(again.json()["source"], "cache");
    assert_eq!((ids(&again), hub.requests().len()), (ids(&first), asked));

    let refreshed = ran(&mut search(home.path(), hub.url(), &[&arguments[..], &["--refresh"]].concat())).ok();
    assert_eq!(refreshed.json()["source"], "hub");
    assert!(hub.requests().len() > asked);
}

/// Makes every answer that is kept older by so many seconds.
fn age(home: &Path, seconds: u64) {
    for entry in fs::read_dir(home.join("cache/search")).unwrap() {
        let path = entry.unwrap().path();
        let mut kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        kept["fetched"] = json!(kept["fetched"].as_u64().unwrap() - seconds);
        fs::write(&path, kept.to_string()).unwrap();
    }
}

#[test]
fn what_is_known_here_takes_the_place_of_a_hub_that_does_not_answer() {
    let (hub, home) = (hub(), tempfile::tempdir().unwrap());
    let online = ran(&mut search(home.path(), hub.url(), &["qwen3", "--json"])).ok();
    age(home.path(), 7200);
    let asked = hub.requests().len();

    let offline = ran(&mut search(home.path(), hub.url(), &["qwen3", "--json", "--offline"])).ok();
    assert_eq!((offline.json()["source"].as_str(), offline.json()["notice"].clone()), (Some("cache"), Value::Null));
    assert_eq!((ids(&offline), hub.requests().len()), (ids(&online), asked));

    // Nobody listens there any more.
    let url = hub.url().to_owned();
    drop(hub);
    let stale = ran(&mut search(home.path(), &url, &["qwen3"])).ok();
    assert!(
        stale.stderr.contains("cannot be reached") && stale.stderr.contains("answered 2 h ago"),
        "{}",
        stale.stderr
    );
    let other = ran(&mut search(home.path(), &url, &["smollm2", "--json"])).ok().json();
    assert_eq!(other["source"], "offline");
    assert!(other["notice"].as_str().unwrap().contains("cannot be reached"), "{other}");
    assert!(other["models"].as_array().unwrap().len() >= 3, "{other}");
}

/// Each page is looked at where filters leave few of one.
#[test]
fn filters_are_checked_on_every_page() {
    let (hub, home) = (hub(), tempfile::tempdir().unwrap());
    hub.page_size(3);
    let arguments = ["--runnable", "--quantization", "8bit,bf16", "--max-bytes", "2GB", "--fits-in", "64GB", "--json"];
    let found = ran(&mut search(home.path(), hub.url(), &arguments)).ok();
    let expected = ["Qwen/Qwen3-0.6B", "HuggingFaceTB/SmolLM2-135M-Instruct", "mlx-community/Qwen3-0.6B-8bit"];
    assert_eq!(ids(&found), expected);
    assert!(hub.requests().len() >= 4, "{:?}", hub.requests());
}

#[test]
fn a_hub_that_answers_nonsense_is_told_and_nothing_is_kept() {
    let (hub, home) = (hub(), tempfile::tempdir().unwrap());
    for action in [Action::TornJson, Action::EndlessJson, Action::Redirect("http://127.0.0.1:1/".to_owned())] {
        hub.clear_faults();
        hub.fault(Fault::new("/api/models", action.clone()));
        let answered = ran(&mut search(home.path(), hub.url(), &["qwen3"]));
        let is_told = answered.stderr.contains("error:") || answered.stderr.contains("note:");
        assert!(is_told && answered.stderr.contains("127.0.0.1"), "{action:?}: {}", answered.stderr);
        assert!(!home.path().join("cache/search").exists(), "{action:?}");
    }
}

#[test]
fn wrong_options_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let wrong: [(&[&str], &str); 6] = [
        (&["--size", "huge"], "tiny, small, medium, large, xlarge"),
        (&["--quantization", "9bit"], "2bit to 8bit"),
        (&["--max-bytes", "much"], "500MB"),
        (&["--fits", "--fits-in", "1GB"], "cannot be used with"),
        (&["--offline", "--refresh"], "cannot be used with"),
        (&["--limit", "0"], "1..=500"),
    ];
    for (arguments, why) in wrong {
        let refused = ran(&mut search(home.path(), "http://127.0.0.1:1", arguments)).failed(2);
        assert!(refused.stderr.contains(why), "{arguments:?}: {}", refused.stderr);
    }
}
