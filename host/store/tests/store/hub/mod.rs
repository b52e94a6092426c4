//! The hub over real sockets: what comes, what does not, and that nothing wrong enters the store.

mod access;
mod components;
mod faults;
mod mirrors;
mod pulls;
mod search;
mod token;

use std::fs;
use std::time::Duration;

use tokio::runtime::Builder;
use wasmlx_hub_server::{Content, HubServer, Repository};
use wasmlx_store::hub::{HubClient, HubOptions, Patience, PullOptions, Pulled};
use wasmlx_store::{Digest, Monitor, Name, StoreError};

use crate::support::Home;

/// The model of these tests.
const MODEL: &str = "maker/model";

/// Bytes of its weights: they come in three parts.
const WEIGHTS: u64 = 12 << 20;

/// What its pull wants.
const FILES: [&str; 4] = ["README.md", "config.json", "model.safetensors", "tokenizer.json"];

/// A hub with the model, and a store without.
struct Scene {
    hub: HubServer,
    home: Home,
    options: HubOptions,
}

impl Scene {
    fn new() -> Self {
        let hub = HubServer::start();
        hub.add(model(1));
        let options = HubOptions { endpoints: vec![hub.url().to_owned()], patience: short(), ..HubOptions::default() };
        Self { hub, home: Home::new(), options }
    }

    fn client(&self) -> HubClient {
        HubClient::new(self.options.clone()).unwrap()
    }

    fn pull(&self) -> Result<Pulled, StoreError> {
        self.pull_as(MODEL, &PullOptions::default())
    }

    fn pull_as(&self, name: &str, options: &PullOptions) -> Result<Pulled, StoreError> {
        let name = Name::parse(name).unwrap();
        let (client, monitor) = (self.client(), Monitor::none());
        let pulled = run(client.pull(&self.home.store, &name, options, &monitor));
        self.assert_only_what_is_right();
        pulled
    }

    /// That the model is there and is that of a repository.
    fn assert_has(&self, repository: &Repository) {
        let manifest = self.home.store.manifest(&Name::parse(MODEL).unwrap()).unwrap().unwrap();
        assert_eq!(manifest.commit(), Some(&*repository.commit()));
        assert_eq!(manifest.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), FILES);
        self.assert_only_what_is_right();
    }

    /// That what is in the store has the hash that it is named by.
    fn assert_only_what_is_right(&self) {
        let Ok(entries) = fs::read_dir(self.home.store.home().join("blobs")) else { return };
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(name, format!("sha256-{}", Digest::of(&fs::read(&path).unwrap())));
        }
    }

    /// The bytes of weights that the hub has sent.
    fn sent(&self) -> u64 {
        sent(&self.hub)
    }
}

/// The bytes of weights that a hub has sent.
fn sent(hub: &HubServer) -> u64 {
    hub.requests().iter().filter(|request| request.at_cdn && request.status < 400).map(|request| request.sent).sum()
}

/// A model whose weights are others for each seed.
fn model(seed: u64) -> Repository {
    Repository::new(MODEL)
        .file("config.json", r#"{"model_type": "llama"}"#)
        .file("tokenizer.json", "{}")
        .file("README.md", "# A model\n")
        .file(".gitattributes", "*.safetensors filter=lfs\n")
        .file("onnx/config.json", "{}")
        .large_file("pytorch_model.bin", "pickled")
        .large_file("model.safetensors", Content::noise(seed, WEIGHTS as usize))
}

/// So that what is to time out does so at once.
fn short() -> Patience {
    Patience {
        idle: Duration::from_millis(400),
        metadata: Duration::from_secs(5),
        attempts: 4,
        backoff: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
        ..Patience::default()
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
