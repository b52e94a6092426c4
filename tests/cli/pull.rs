//! Models from a hub, by the program: pulled, brought up to date, broken off, ended at any moment, by several processes
//! at once; and the hub of these tests seen by another client.

#[cfg(unix)]
mod kills;
mod python;

use std::process::Command;

use serde_json::Value;
use wasmlx_hub_server::{Content, HubServer, Repository};

use crate::store::Home;
use crate::support::{Ran, ran};

/// A model of four small tensors, which runs.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/llama-float32");

/// A hub, and a store beside it.
struct Scene {
    hub: HubServer,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        Self { hub: HubServer::start(), home: Home::new() }
    }

    /// The program with this hub, and nobody's token.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command.env("HF_ENDPOINT", self.hub.url()).env("HF_HOME", self.home.beside("no-token"));
        for name in ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "WASMLX_OFFLINE"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Bytes of large files that the hub has sent.
    fn sent(&self) -> u64 {
        self.hub.requests().iter().filter(|request| request.at_cdn).map(|request| request.sent).sum()
    }

    /// What a run said on stderr, the hub's address apart.
    fn stderr(&self, ran: &Ran) -> String {
        ran.stderr.replace(self.hub.url(), "HUB")
    }
}

/// A model with weights of so many bytes, others for each seed.
fn model(id: &str, seed: u64, bytes: usize) -> Repository {
    Repository::new(id)
        .file("config.json", r#"{"model_type": "llama"}"#)
        .file("tokenizer.json", format!(r#"{{"seed": {seed}}}"#).as_str())
        .large_file("model.safetensors", Content::noise(seed, bytes))
}

#[test]
fn a_model_is_pulled_once_and_runs() {
    let scene = Scene::new();
    scene.hub.add(Repository::from_folder("maker/tiny", FIXTURE.as_ref()).unwrap());
    let missing = scene.run(&["run", "-m", "maker/tiny", "--prompt-tokens", "1,2,3"]).failed(1);
    assert!(missing.stderr.contains("`wasmlx pull maker/tiny`"), "{}", missing.stderr);
    insta::assert_snapshot!(scene.run(&["pull", "maker/tiny"]).ok().stdout);
    insta::assert_snapshot!(scene.run(&["pull", "maker/tiny@main"]).ok().stdout);
    let arguments = ["run", "-m", "maker/tiny", "--prompt-tokens", "1,2,3", "--max-tokens", "2", "--json"];
    assert_eq!(scene.run(&arguments).ok().json()["completion_tokens"], 2);
    assert_eq!(scene.run(&["store", "verify", "--json"]).ok().json()["ok"], true);
}

#[test]
fn a_part_of_a_model_says_what_it_lacks_and_how_to_get_it() {
    let scene = Scene::new();
    scene.hub.add(Repository::from_folder("maker/tiny", FIXTURE.as_ref()).unwrap());
    let pulled = scene.run(&["pull", "maker/tiny", "--include", "*.json"]).ok();
    let shown = scene.run(&["store", "show", "tiny"]).ok();
    let refused = scene.run(&["run", "-m", "tiny", "--prompt-tokens", "1,2,3"]).failed(1);
    for told in [&pulled.stderr, &shown.stdout, &refused.stderr] {
        assert!(told.contains("`wasmlx pull maker/tiny` fetches what else is needed"), "{told}");
        assert!(!told.contains("at a guess"), "{told}");
    }
    assert!(pulled.stdout.contains("1 file,"), "{}", pulled.stdout);
    // By its short name, too.
    scene.run(&["pull", "TINY"]).ok();
    assert!(!scene.run(&["store", "show", "tiny"]).ok().stdout.contains("lacks"));
    scene.run(&["run", "-m", "tiny", "--prompt-tokens", "1,2,3", "--max-tokens", "2"]).ok();
}

#[test]
fn a_short_name_of_the_catalogue_is_pulled_and_meant() {
    let scene = Scene::new();
    let id = "HuggingFaceTB/SmolLM2-135M-Instruct";
    scene.hub.add(Repository::from_folder(id, FIXTURE.as_ref()).unwrap());
    let missing = scene.run(&["run", "-m", "smollm2-135m", "hi"]).failed(1);
    assert!(missing.stderr.contains("`wasmlx pull smollm2-135m`"), "{}", missing.stderr);
    assert!(scene.run(&["pull", "SmolLM2-135M"]).ok().stdout.starts_with(id));
    assert_eq!(scene.run(&["store", "show", "smollm2-135m", "--json"]).ok().json()["name"], id);
}

#[test]
fn progress_is_one_object_a_line() {
    let scene = Scene::new();
    scene.hub.add(model("maker/model", 1, 1 << 20));
    let ran = scene.run(&["pull", "maker/model", "--json"]).ok();
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(
        !before.is_empty() && before.iter().all(|line| line["event"] == "fetching" && line["model"] == "maker/model")
    );
    assert_eq!(before.last().unwrap()["done"], last["bytes"]);
    assert_eq!((&last["event"], &last["files"], &last["up_to_date"]), (&"done".into(), &3.into(), &false.into()));
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_a_hub_refuses_says_what_to_do() {
    let scene = Scene::new();
    scene.hub.add(model("maker/gated", 1, 10).gated());
    scene.hub.add(Repository::new("maker/other").file("config.json", "{}").large_file("a.Q8_0.gguf", "GGUF"));
    let mut told = String::new();
    for arguments in [
        &["maker/gated"][..],
        &["maker/absent"],
        &["maker/gated", "--revision", "v9"],
        &["maker/other"],
        &["maker/gated", "--offline"],
        &["model"],
        &["maker/gated", "--include", "[a"],
    ] {
        let ran = scene.run(&[&["pull"], arguments].concat()).failed(1);
        assert_eq!(ran.stdout, "");
        told += &format!("$ wasmlx pull {}\n{}\n", arguments.join(" "), scene.stderr(&ran));
    }
    insta::assert_snapshot!(told);
    scene.run(&["pull", "maker/gated", "--connections", "0"]).failed(2);
}

#[test]
fn a_token_of_the_environment_opens_what_is_gated_and_is_not_shown() {
    let scene = Scene::new();
    scene.hub.add(model("maker/gated", 1, 10).gated());
    scene.hub.token("hf_secret", true);
    let mut command = scene.command(&["pull", "maker/gated", "-vv"]);
    let ran = ran(command.env("HF_TOKEN", "hf_secret").env("RUST_LOG", "trace")).ok();
    assert!(!ran.stderr.contains("secret") && !ran.stdout.contains("secret"), "{}", ran.stderr);
    let file = scene.home.beside("no-token");
    std::fs::create_dir_all(&file).unwrap();
    std::fs::write(file.join("token"), "hf_secret\n").unwrap();
    scene.run(&["store", "rm", "maker/gated"]).ok();
    scene.run(&["pull", "maker/gated"]).ok();
}
