//! The models on this machine, by the program: taken in, listed, shown, bound, checked, removed; ended at any moment;
//! by several processes at once.

#[cfg(unix)]
pub(crate) mod kills;
#[cfg(unix)]
mod together;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Ran, field_names, ran, wasmlx};

/// A model of four small tensors.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/llama-float32");

/// A home of its own, gone with the value.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// A folder beside the home, for what is imported.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = wasmlx(arguments);
        command.env("WASMLX_HOME", self.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Files of the store that are not of any model's name.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        files(&self.path().join("blobs"))
    }
}

/// The files in a folder, and in folders of it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            folder if folder.is_dir() => found.extend(files(&folder)),
            file => found.push(file),
        }
    }
    found.sort();
    found
}

#[test]
fn a_model_is_taken_in_used_shown_and_removed() {
    let home = Home::new();
    let imported = home.run(&["store", "import", FIXTURE, "--name", "Tiny", "--json"]).ok().json();
    assert_eq!(imported["name"], "Tiny");
    assert_eq!(imported["bytes_copied"], imported["bytes"]);

    let run = ["run", "-m", "tiny", "--prompt-tokens", "1,5,9", "--max-tokens", "2", "--json"];
    home.run(&run).ok();
    home.run(&run).ok();
    let listed = home.run(&["store", "list", "--json"]).ok().json();
    let model = &listed[0];
    let names = [
        "architecture",
        "bytes",
        "context",
        "created",
        "last_used",
        "name",
        "parameters",
        "quantization",
        "short_name",
        "source",
        "state",
        "times_used",
        "type",
    ];
    assert_eq!(field_names(model), names);
    assert_eq!(
        (&model["name"], &model["architecture"], &model["times_used"]),
        (&json!("Tiny"), &json!("llama"), &json!(2))
    );

    let shown = home.run(&["store", "show", "TINY", "--json"]).ok().json();
    let files: Vec<&str> = shown["files"].as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    assert!(files.contains(&"config.json") && files.contains(&"model.safetensors"), "{files:?}");
    let folder = PathBuf::from(home.run(&["store", "path", "tiny"]).ok().stdout.trim_end());
    for file in files {
        assert_eq!(fs::read(folder.join(file)).unwrap(), fs::read(Path::new(FIXTURE).join(file)).unwrap());
    }

    home.run(&["store", "verify"]).ok();
    let removed = home.run(&["store", "rm", "tiny", "--json"]).ok().json();
    assert_eq!((&removed["removed"], &removed["bytes_freed"]), (&json!(["Tiny"]), &imported["bytes"]));
    assert_eq!(home.blobs(), [""; 0].map(PathBuf::from));
    assert_eq!(home.run(&["store", "list", "--json"]).ok().json(), json!([]));
    assert!(home.run(&["store", "rm", "tiny"]).failed(1).stderr.contains("no model 'tiny'"));
}

#[test]
fn tables_and_sentences() {
    let home = Home::new();
    home.run(&["store", "import", FIXTURE, "--name", "tiny"]).ok();
    fs::write(home.path().join("models.toml"), format!("mine = {FIXTURE:?}\n")).unwrap();
    // What memory a model takes depends on the machine.
    let text = |arguments: &[&str]| {
        let lines = home.run(arguments).ok().stdout.replace(FIXTURE, "FIXTURE");
        lines.lines().filter(|line| !line.starts_with("  memory ")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let said = [
        text(&["store", "list"]),
        text(&["store", "show", "tiny"]),
        text(&["store", "bind", "tiny", "--system", "Be brief.", "--set", "temperature=0.5"]),
        text(&["store", "verify"]),
        text(&["store", "rm", "tiny"]),
        text(&["store", "gc"]),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_a_model_is_bound_to_is_used_where_nothing_else_is_said() {
    let home = Home::new();
    let folder = home.run(&["store", "path", "builtin"]).ok().stdout;
    home.run(&["store", "import", folder.trim_end(), "--name", "bound"]).ok();
    let answer = |more: &[&str]| {
        let mut arguments = vec!["run", "-m", "bound", "What is the capital of Japan?", "--json", "--max-tokens", "12"];
        arguments.extend(more);
        home.run(&arguments).ok().json()
    };
    let prompt = |answer: &Value| answer["prompt_tokens"].as_u64().unwrap();
    let plain = answer(&["--seed", "1"]);
    home.run(&["store", "bind", "bound", "--system", "You are a pirate who says little.", "--set", "temperature=0"])
        .ok();
    let (bound, again) = (answer(&["--seed", "1"]), answer(&["--seed", "2"]));
    assert!(prompt(&bound) > prompt(&plain));
    assert_eq!(bound["tokens"], again["tokens"]);
    assert!(prompt(&answer(&["--system", "x"])) < prompt(&bound));
    // A template that is bound is the one that is used: this one is made for other models.
    home.run(&["store", "bind", "bound", "--clear", "--template", "llama3", "--sampler", "classic"]).ok();
    let refused = home.run(&["run", "-m", "bound", "hello"]).failed(1);
    assert!(refused.stderr.contains("start_header_id"), "{}", refused.stderr);
    assert_eq!(prompt(&answer(&["--template", "jinja"])), prompt(&plain));

    assert!(home.run(&["store", "bind", "bound", "--template", "classic"]).failed(1).stderr.contains("classic"));
    for arguments in [&["store", "bind", "builtin", "--system", "x"][..], &["store", "rm", "builtin"]] {
        assert!(home.run(arguments).failed(1).stderr.contains("ships with"), "{arguments:?}");
    }
    assert!(home.run(&["store", "show", "builtin"]).ok().stdout.contains("architecture"));
    home.run(&["store", "bind", "bound"]).failed(2);
    home.run(&["store", "bind", "bound", "--clear"]).ok();
    assert_eq!(prompt(&answer(&[])), prompt(&plain));
}

#[test]
fn damage_is_told_put_aside_and_mended() {
    let home = Home::new();
    home.run(&["store", "import", FIXTURE, "--name", "tiny"]).ok();
    let digest = |file: &str| {
        let shown = home.run(&["store", "show", "tiny", "--json"]).ok().json();
        let files = shown["files"].as_array().unwrap().clone();
        let file = files.into_iter().find(|it| it["path"] == file).unwrap();
        file["sha256"].as_str().unwrap().to_owned()
    };
    let (weights, config) = (digest("model.safetensors"), digest("config.json"));
    let blob = |digest: &str| home.path().join(format!("blobs/sha256-{digest}"));
    let mut bytes = fs::read(blob(&weights)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(blob(&weights)).unwrap();
    fs::write(blob(&weights), bytes).unwrap();
    fs::remove_file(blob(&config)).unwrap();

    let verified = home.run(&["store", "verify", "--json"]).failed(1).json();
    let faults = verified["faults"].as_array().unwrap();
    assert_eq!((&verified["ok"], faults.len()), (&json!(false), 2));
    assert!(faults.iter().all(|fault| fault["models"] == json!(["tiny"])));
    let listed = home.run(&["store", "list", "--json"]).failed(1).json();
    assert_eq!(listed[0]["state"], "broken");
    let ran = home.run(&["run", "-m", "tiny", "hello"]).failed(1);
    assert!(ran.stderr.contains("damaged") && ran.stderr.contains("import it again"), "{}", ran.stderr);

    home.run(&["store", "import", FIXTURE, "--name", "tiny"]).ok();
    home.run(&["store", "verify"]).ok();
    home.run(&["run", "-m", "tiny", "--prompt-tokens", "1,5,9", "--max-tokens", "2"]).ok();
}

#[test]
fn a_manifest_that_cannot_be_read_stops_the_removal_of_files() {
    let home = Home::new();
    for name in ["one", "two"] {
        home.run(&["store", "import", FIXTURE, "--name", name]).ok();
    }
    let manifest = home.path().join("manifests/local/models/one/main.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for torn in [text[..text.len() / 2].to_owned(), text.replace("\"schema\": 1", "\"schema\": 7")] {
        fs::write(&manifest, torn).unwrap();
        let count = home.blobs().len();
        for arguments in [&["store", "gc"][..], &["store", "verify"], &["store", "list"]] {
            let ran = home.run(arguments).failed(1);
            assert!(format!("{}{}", ran.stdout, ran.stderr).contains("one/main.json"), "{arguments:?}: {}", ran.stderr);
        }
        assert_eq!(home.blobs().len(), count);
        home.run(&["run", "-m", "two", "--prompt-tokens", "1,5,9", "--max-tokens", "2"]).ok();
    }
    // It is removed by its name, and then all is well.
    home.run(&["store", "rm", "one"]).ok();
    home.run(&["store", "verify"]).ok();
}

#[cfg(unix)]
#[test]
fn a_store_that_is_only_read_is_used_and_left_as_it_is() {
    let home = Home::new();
    home.run(&["store", "import", FIXTURE, "--name", "tiny"]).ok();
    home.run(&["store", "import", FIXTURE, "--name", "unused"]).ok();
    let run = |model: &str, arguments: &[&str]| {
        let mut command = home.command(&["run", "-m", model, "--max-tokens", "2"]);
        ran(command.args(arguments).env("WASMLX_STORE_READ_ONLY", "1"))
    };
    home.run(&["store", "path", "tiny"]).ok();
    let before = files(&home.path());
    run("tiny", &["--prompt-tokens", "1,5,9"]).ok();
    let refused = run("unused", &["--prompt-tokens", "1,5,9"]).failed(1);
    assert!(
        refused.stderr.contains("not used since it came") && refused.stderr.contains("only read"),
        "{}",
        refused.stderr
    );
    let component = "target/components/min-p.wasm";
    for arguments in [
        &["store", "rm", "tiny"][..],
        &["store", "gc"],
        &["store", "import", FIXTURE],
        &["component", "add", component, "--no-test"],
        &["run", "hello"],
    ] {
        let ran = ran(home.command(arguments).env("WASMLX_STORE_READ_ONLY", "1")).failed(1);
        assert!(ran.stderr.contains("only read"), "{arguments:?}: {}", ran.stderr);
    }
    for arguments in [&["store", "list"][..], &["store", "show", "unused"], &["store", "verify"]] {
        ran(home.command(arguments).env("WASMLX_STORE_READ_ONLY", "1")).ok();
    }
    assert_eq!(files(&home.path()), before);
}

/// Ctrl-C ends an import at once and leaves nothing.
#[cfg(unix)]
#[test]
fn an_import_that_is_interrupted_leaves_nothing() {
    let home = Home::new();
    let source = home.beside("large");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("config.json"), "{}").unwrap();
    // All of it a hole: it takes seconds to be hashed, and no room.
    fs::File::create(source.join("model.safetensors")).unwrap().set_len(16 << 30).unwrap();
    let mut command = home.command(&["store", "import", source.to_str().unwrap()]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !home.blobs().iter().any(|file| fs::metadata(file).is_ok_and(|file| file.len() == 16 << 30)) {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken off"));
    assert_eq!(home.blobs().len(), 0);
    assert_eq!(home.run(&["store", "list", "--json"]).ok().json(), json!([]));
}

/// A home that was moved is the same store, and one that was copied without its links too.
#[test]
fn a_home_can_be_moved_and_copied() {
    let home = Home::new();
    home.run(&["store", "import", FIXTURE, "--name", "tiny"]).ok();
    home.run(&["store", "path", "tiny"]).ok();
    let (moved, copied) = (home.beside("moved"), home.beside("copied"));
    fs::rename(home.path(), &moved).unwrap();
    for file in files(&moved) {
        let to = copied.join(file.strip_prefix(&moved).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, to).unwrap();
    }
    for place in [moved, copied] {
        let run = ["run", "-m", "tiny", "--prompt-tokens", "1,5,9", "--max-tokens", "2"];
        ran(wasmlx(&run).env("WASMLX_HOME", &place)).ok();
        ran(wasmlx(&["store", "verify"]).env("WASMLX_HOME", &place)).ok();
    }
}
