//! `wasmlx component inspect`, `add`, `list`, `rm`: components that are kept by their names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ran, ran, wasmlx};

/// A home of a test's own: what is installed there no other test sees.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = wasmlx(arguments);
        command.env("WASMLX_HOME", self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// A conversation as a template writes it.
    fn render(&self, template: &str) -> Ran {
        let file = self.0.path().join("conversation.json");
        fs::write(&file, r#"{"messages": [{"role": "user", "content": "Hi"}]}"#).unwrap();
        self.run(&["template", "render", "--template", template, "--conversation", file.to_str().unwrap()])
    }

    /// The names that were installed.
    fn installed(&self) -> Vec<String> {
        let list = self.run(&["component", "list", "--json"]).ok().json();
        let components = list["components"].as_array().unwrap().iter();
        let installed = components.filter(|component| component["built_in"] == false);
        installed.map(|component| component["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The files with the bytes of installed components.
    fn blobs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join("components")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
    }
}

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

fn built(name: &str) -> String {
    repository(&format!("target/components/{name}.wasm"))
}

/// What differs from build to build and from machine to machine.
fn redacted(text: &str) -> String {
    let redact = |line: &str| {
        for (field, shown) in [("  digest", "DIGEST"), ("  size", "SIZE"), ("  from            /", "FILE")] {
            if line.starts_with(field) {
                return format!("{}{shown}", &line[..18]);
            }
        }
        line.to_owned()
    };
    text.lines().map(redact).collect::<Vec<_>>().join("\n")
}

#[test]
fn inspect_tells_what_a_component_is_and_may_do() {
    let home = Home::new();
    let agent = home.run(&["component", "inspect", &built("errand")]).ok();
    insta::assert_snapshot!(redacted(&agent.stdout));
    let policy = home.run(&["component", "inspect", "classic"]).ok();
    insta::assert_snapshot!(redacted(&policy.stdout));
    // Nothing was loaded, and so nothing compiled.
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0);
}

#[test]
fn inspect_for_programs_has_the_same() {
    let home = Home::new();
    let inspected = home.run(&["component", "inspect", "--json", &built("min-p")]).ok().json();
    assert_eq!(inspected["name"], "min-p");
    assert_eq!(inspected["world"], "sampling-policy");
    assert_eq!(inspected["imports"], json!(["wasmlx:runner/types@0.1.0", "wasmlx:runner/logits@0.1.0"]));
    assert_eq!(inspected["limits"]["compute_ms"], json!({"step": 20.0, "call": 500.0, "request": 60000.0}));
    let size = fs::metadata(built("min-p")).unwrap().len();
    assert_eq!(inspected["bytes"], size);
    let digest = inspected["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256-") && digest.len() == 71, "{digest}");
}

#[test]
fn what_is_no_component_is_told_by_inspect() {
    let home = Home::new();
    let file = home.0.path().join("thing.wasm");
    let path = file.to_str().unwrap();
    let whole = fs::read(built("min-p")).unwrap();
    // Denied: it says so, rather than showing what the component would be given.
    let foreign = r#"(component (import "wasi:sockets/tcp@0.2.0" (instance))
        (instance $i) (export "wasmlx:runner/policy@0.1.0" (instance $i)))"#;
    let escaping = r#"(component (instance $i) (export "wasmlx:runner/policy@0.1.0\1b[2J" (instance $i)))"#;
    let wrong: [(&[u8], &str); 6] = [
        (b"", "no WebAssembly"),
        (b"(component)", "text form"),
        (b"\0asm\x01\0\0\0", "core module"),
        (&whole[..whole.len() / 2], "cut off"),
        (&wat::parse_str(foreign).unwrap(), "wasi:sockets/tcp@0.2.0"),
        (&wat::parse_str(escaping).unwrap(), "no name of an interface"),
    ];
    for (bytes, told) in wrong {
        fs::write(&file, bytes).unwrap();
        let inspected = home.run(&["component", "inspect", path]).failed(1);
        assert!(inspected.stderr.contains(told), "{told} in: {}", inspected.stderr);
        assert!(inspected.stdout.is_empty() && !inspected.stderr.contains('\x1b'));
        let added = home.run(&["component", "add", path]).failed(1);
        assert!(added.stderr.contains(told), "{told} in: {}", added.stderr);
    }
    assert!(home.installed().is_empty());
}

#[test]
fn an_installed_component_is_found_by_its_name() {
    let home = Home::new();
    let added = home.run(&["component", "add", &repository("templates/chatml"), "--name", "mine"]).ok();
    assert!(added.stdout.starts_with("mine: prompt template"), "{}", added.stdout);
    assert!(added.stdout.contains("cases passed"), "{}", added.stdout);
    assert_eq!(home.installed(), ["mine"]);

    assert_eq!(home.render("mine").ok().stdout, home.render("chatml").ok().stdout);

    let inspected = home.run(&["component", "inspect", "--json", "mine"]).ok().json();
    assert_eq!(inspected["from"], "installed");
    home.run(&["component", "rm", "mine"]).ok();
    let gone = home.run(&["component", "inspect", "mine"]).failed(1);
    assert!(gone.stderr.contains("component list"), "{}", gone.stderr);
    assert!(home.blobs().is_empty());
}

#[test]
fn two_names_share_bytes_until_both_are_gone() {
    let home = Home::new();
    for name in ["one", "two"] {
        home.run(&["component", "add", "--no-test", "--name", name, &built("min-p")]).ok();
    }
    assert_eq!(home.blobs().len(), 1);
    home.run(&["component", "rm", "one"]).ok();
    assert_eq!((home.installed(), home.blobs().len()), (vec!["two".to_owned()], 1));
    // By digest: all that are left.
    let listed = home.run(&["component", "inspect", "--json", "two"]).ok().json();
    let removed = home.run(&["component", "rm", "--json", listed["digest"].as_str().unwrap()]).ok().json();
    assert_eq!(removed, json!({"removed": ["two"]}));
    assert!(home.blobs().is_empty());
}

#[test]
fn names_of_built_in_components_are_theirs() {
    let home = Home::new();
    for name in ["classic", "Classic"] {
        let refused = home.run(&["component", "add", "--no-test", "--name", name, &built("min-p")]).failed(1);
        assert!(refused.stderr.contains("classic comes with the host"), "{}", refused.stderr);
    }
    let refused = home.run(&["component", "rm", "classic"]).failed(1);
    assert!(refused.stderr.contains("comes with the host"), "{}", refused.stderr);
    for name in ["../up", "a/b", "x.wasm", ""] {
        let refused = home.run(&["component", "add", "--no-test", "--name", name, &built("min-p")]).failed(1);
        assert!(refused.stderr.contains("no name"), "{}", refused.stderr);
    }
    assert!(home.installed().is_empty());
}

#[test]
fn a_component_that_fails_its_own_cases_is_not_installed_unless_that_is_wanted() {
    let home = Home::new();
    let folder = home.0.path().join("policy");
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::copy(built("default-policy"), folder.join("mine.wasm")).unwrap();
    let wrong = json!([{"name": "wrong", "params": {"temperature": 0.5}, "plan": [{"temperature": 0.7}]}]);
    fs::write(folder.join("cases/cases.json"), wrong.to_string()).unwrap();
    let path = folder.to_str().unwrap();
    let refused = home.run(&["component", "add", path]).failed(1);
    assert!(refused.stderr.contains("{\"temperature\":0.7}"), "{}", refused.stderr);
    assert!(refused.stderr.contains("install it untested (`--no-test`)"), "{}", refused.stderr);
    assert!(home.installed().is_empty());
    home.run(&["component", "add", "--no-test", path]).ok();
    // Without a manifest the file names it.
    assert_eq!(home.installed(), ["mine"]);
}

#[test]
fn bytes_that_were_changed_are_never_run() {
    let home = Home::new();
    let add = || home.run(&["component", "add", "--no-test", "--name", "mine", &built("chatml")]).ok();
    add();
    let blob = home.blobs().pop().unwrap();
    let whole = fs::read(&blob).unwrap();
    // Another valid component in its place, and a torn one.
    for bytes in [fs::read(built("llama3")).unwrap(), whole[..whole.len() / 2].to_vec()] {
        fs::write(&blob, bytes).unwrap();
        for refused in [home.run(&["component", "inspect", "mine"]), home.render("mine")] {
            let refused = refused.failed(1);
            assert!(refused.stderr.contains("is not what was installed"), "{}", refused.stderr);
        }
    }
    add();
    home.render("mine").ok();
    // A torn entry is told, and can be removed.
    fs::write(home.0.path().join("components/names/mine.json"), "{\"schema\": 1, \"na").unwrap();
    let listed = home.run(&["component", "list"]).failed(1);
    assert!(listed.stdout.contains("jinja") && listed.stderr.contains("mine"), "{}", listed.stderr);
    home.run(&["component", "rm", "mine"]).ok();
    home.run(&["component", "list"]).ok();
}

/// A folder with a component and one case, which each of the policies here passes.
fn policy_folder(home: &Home, component: &str) -> String {
    let folder = home.0.path().join(component);
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::copy(built(component), folder.join("policy.wasm")).unwrap();
    let step = json!({"logits": [0.0, 100.0], "new": [0], "expect": {"distribution": {"1": 1.0}}});
    let cases = json!([{"name": "certain", "params": {"temperature": 0.5}, "steps": [step]}]);
    fs::write(folder.join("cases/cases.json"), cases.to_string()).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// What of a cost card is counted, which no two measurements tell differently.
fn counted(card: &Value) -> Value {
    let calls = card["calls"].as_array().unwrap().iter();
    let calls: Vec<Value> =
        calls.map(|call| json!([call["name"], call["fuel"], call["host_calls"], call["bytes"]])).collect();
    json!({"memory": card["memory_bytes"], "calls": calls})
}

#[test]
fn what_is_counted_of_a_component_is_the_same_each_time() {
    let home = Home::new();
    for (component, call, host_calls) in [
        // A division, a filter, a draw.
        ("guest-examples/rust/min-p", "policy.step", 3.0),
        ("templates/chatml", "render", 0.0),
    ] {
        let measure = || home.run(&["test", "--cost", "--json", &repository(component)]).ok().json();
        let (card, again) = (measure(), measure());
        assert_eq!(counted(&card), counted(&again), "{component}");
        let named = card["calls"].as_array().unwrap().iter().find(|named| named["name"] == call);
        assert_eq!(named.unwrap()["host_calls"], host_calls, "{card:#}");
        assert!(card["memory_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{card:#}");
        for call in card["calls"].as_array().unwrap() {
            let [lower, median, upper] =
                ["lower", "median", "upper"].map(|name| call["time_ns"][name].as_u64().unwrap());
            assert!(0 < lower && lower <= median && median <= upper, "{call}");
        }
        assert!(card["compile_ns"].as_u64() > card["load_ns"]["median"].as_u64(), "{card:#}");
    }
}

#[test]
fn an_upgrade_tells_what_got_dearer() {
    let home = Home::new();
    let add = |component: &str| {
        let path = policy_folder(&home, component);
        home.run(&["component", "add", "--name", "mine", &path]).ok().stdout
    };
    let first = add("min-p");
    assert!(first.contains("policy.step") && !first.contains("dearer"), "{first}");
    let again = add("min-p");
    assert!(again.contains("was installed before") && !again.contains("fuel:"), "{again}");
    let upgrade = add("classic");
    assert!(upgrade.contains("replaces") && upgrade.contains("policy.step, fuel:"), "{upgrade}");
    // The card is kept, and measured anew by the same work.
    let inspected = home.run(&["component", "inspect", "--json", "mine"]).ok().json();
    let renewed = home.run(&["test", "--cost", "--json", "mine"]).ok().json();
    assert_eq!(counted(&inspected["cost"]), counted(&renewed));
    assert_eq!(inspected["cost"]["work"], json!({"params": {"temperature": 0.5}}));
    let after = home.run(&["component", "inspect", "--json", "mine"]).ok().json();
    assert_eq!(after["cost"], renewed);
    let shown = home.run(&["component", "inspect", "mine"]).ok().stdout;
    assert!(shown.contains("costs\n  measured with") && shown.contains("policy.open"), "{shown}");
}

#[test]
fn what_refuses_the_work_is_not_measured() {
    let home = Home::new();
    let folder = policy_folder(&home, "min-p");
    let cases = json!([{"name": "refused", "params": {"min_p": 7}, "steps": [
        {"logits": [0.0], "new": [0], "expect": {"token": 0}},
    ]}]);
    fs::write(format!("{folder}/cases/cases.json"), cases.to_string()).unwrap();
    let refused = home.run(&["test", "--cost", &folder]).failed(1);
    assert!(refused.stderr.contains("policy cannot be measured"), "{}", refused.stderr);
    // Agents without cases are only loaded.
    let agent = home.run(&["test", "--cost", "--json", &built("errand")]).ok().json();
    assert_eq!((&agent["calls"], &agent["memory_bytes"]), (&json!([]), &Value::Null));
}

#[test]
fn processes_that_install_at_once_lose_nothing() {
    let home = Home::new();
    let names: Vec<String> = (0..6).map(|number| format!("policy-{number}")).collect();
    let start = |name: &String| {
        // Two of different bytes by one name, and six by names of their own.
        let (component, name) = if name.is_empty() { ("classic", "shared") } else { ("min-p", name.as_str()) };
        let mut add = home.command(&["component", "add", "--no-test", "--name", name, &built(component)]);
        add.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut running: Vec<_> = names.iter().map(start).collect();
    running.push(start(&"shared".to_owned()));
    running.push(start(&String::new()));
    for mut process in running {
        assert!(process.wait().unwrap().success());
    }
    let expected: Vec<String> = names.iter().cloned().chain(["shared".to_owned()]).collect();
    assert_eq!(home.installed(), expected);
    for name in expected {
        home.run(&["component", "inspect", &name]).ok();
    }
    let digest =
        |name: &str| -> Value { home.run(&["component", "inspect", "--json", name]).ok().json()["digest"].take() };
    let blobs = if digest("shared") == digest("policy-0") { 1 } else { 2 };
    assert_eq!(home.blobs().len(), blobs);
}
