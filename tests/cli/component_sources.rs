//! `wasmlx component add` of what is elsewhere: an address, a registry; with a digest and a signature.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmlx_hub_server::{Artifact, HubServer, Repository};

use crate::minisign::Author;
use crate::support::{Ran, ran, wasmlx};

/// A server that has a component at an address and in its registry, and a home with nothing installed.
struct Scene {
    server: HubServer,
    home: tempfile::TempDir,
    author: Author,
    bytes: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/min-p.wasm");
        let (bytes, author) = (fs::read(file).unwrap(), Author::new(7));
        let server = HubServer::start();
        let signature = author.sign(&bytes, "min-p of today");
        server.add(
            Repository::new("maker/things")
                .large_file("min-p.wasm", bytes.clone())
                .file("min-p.wasm.minisig", &*signature),
        );
        server.add_artifact(Artifact::component("maker/min-p", "1.0", &bytes));
        Self { server, home: tempfile::tempdir().unwrap(), author, bytes }
    }

    fn url(&self) -> String {
        format!("{}/maker/things/resolve/main/min-p.wasm", self.server.url())
    }

    fn oci(&self) -> String {
        format!("oci://{}/maker/min-p:1.0", self.server.url().trim_start_matches("http://"))
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(wasmlx(arguments).env("WASMLX_HOME", self.home.path()).env("HF_TOKEN", "hf_secret"))
    }

    /// Adds it without running anything of it.
    fn add(&self, address: &str, checks: &[&str]) -> Ran {
        self.run(&[&["component", "add", "--no-test", address], checks].concat())
    }

    fn installed(&self) -> Vec<Value> {
        let list = self.run(&["component", "list", "--json"]).ok().json();
        let components = list["components"].as_array().unwrap().iter();
        components.filter(|component| component["built_in"] == false).cloned().collect()
    }
}

#[test]
fn a_component_comes_from_an_address_and_says_so_ever_after() {
    let scene = Scene::new();
    let digest = {
        let added = scene.add(&scene.oci(), &["--json"]).ok().json();
        added["component"]["digest"].as_str().unwrap().replace('-', ":")
    };
    let key = scene.home.path().join("author.pub");
    fs::write(&key, format!("untrusted comment: a test\n{}\n", scene.author.key())).unwrap();
    let added = scene.add(&scene.url(), &["--digest", &digest, "--public-key", key.to_str().unwrap()]).ok();
    assert!(added.stdout.contains(&format!("signed by {}", scene.author.key())), "{}", added.stdout);

    let [installed] = &scene.installed()[..] else { panic!("one took the place of the other") };
    assert_eq!(installed["source"], json!({"kind": "url", "url": scene.url()}));
    assert_eq!(installed["signer"], json!({"key": scene.author.key(), "comment": "min-p of today"}));
    let inspected = scene.run(&["component", "inspect", "min-p"]).ok().stdout;
    assert!(inspected.contains(&scene.url()) && inspected.contains("min-p of today"), "{inspected}");
    // It is one like any other.
    scene.run(&["run", "Hi", "--max-tokens", "1", "--sampler", "min-p"]).ok();
    assert!(scene.server.requests().iter().all(|request| request.authorization.as_deref() != Some("Bearer hf_secret")));
}

#[test]
fn an_artifact_comes_from_a_registry() {
    let scene = Scene::new();
    let added = scene.add(&scene.oci(), &["--name", "mine", "--json"]).ok().json();
    let source = &added["component"]["source"];
    assert_eq!((&source["kind"], &added["component"]["name"]), (&json!("oci"), &json!("mine")));
    let digest = Artifact::component("maker/min-p", "1.0", &scene.bytes).digest();
    assert_eq!(source["manifest"], digest);
    let by_digest = scene.oci().replace(":1.0", &format!("@{digest}"));
    scene.add(&by_digest, &["--name", "again"]).ok();
    assert_eq!(scene.installed().len(), 2);
}

#[test]
fn what_is_not_as_it_should_be_is_not_installed() {
    let scene = Scene::new();
    let (wrong, stranger) = (format!("sha256:{}", "0".repeat(64)), Author::new(8).key());
    let refused: [(&str, &[&str], i32, &str); 8] = [
        (&scene.url(), &["--digest", &wrong], 1, "as was asked for"),
        (&scene.url(), &["--digest", "sha256:0"], 1, "no digest"),
        (&scene.url(), &["--public-key", &stranger], 1, "another key"),
        (&scene.url(), &["--public-key", "RWQ"], 1, "no public key of minisign"),
        (&scene.url(), &["--signature", "a.minisig"], 2, "--public-key"),
        (&scene.oci(), &["--public-key", &scene.author.key()], 1, "no annotation"),
        (&format!("{}/no", scene.url()), &[], 1, "not there"),
        ("http://example.org/a.wasm", &[], 1, "write https://"),
    ];
    for (address, checks, code, told) in refused {
        let added = scene.add(address, checks).failed(code);
        assert!(added.stderr.contains(told), "{told} in: {}", added.stderr);
        assert!(scene.installed().is_empty());
    }
    let offline = ran(wasmlx(&["component", "add", &scene.url()])
        .env("WASMLX_HOME", scene.home.path())
        .env("WASMLX_OFFLINE", "1"));
    assert!(offline.failed(1).stderr.contains("offline"));
}
