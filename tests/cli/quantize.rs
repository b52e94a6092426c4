//! `wasmlx store import --quantize`: a model of this machine or of the store becomes a smaller one of the store.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{ran, wasmlx};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

fn at(home: &Path, arguments: &[&str]) -> Command {
    let mut command = wasmlx(arguments);
    command.env("WASMLX_HOME", home);
    command
}

/// What lies in the folder of unfinished files.
fn unfinished(home: &Path) -> usize {
    std::fs::read_dir(home.join("blobs/partial")).map_or(0, Iterator::count)
}

#[test]
fn a_quantised_model_is_one_of_the_store_and_runs() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let source = fixture("mistral-sharded");
    let source = source.to_str().unwrap();

    let imported = ran(&mut at(home, &["store", "import", source, "--quantize", "4", "--group-size", "32", "--json"]));
    assert_eq!(imported.ok().json()["name"], "mistral-sharded-4bit");
    let shown = ran(&mut at(home, &["store", "show", "mistral-sharded-4bit", "--json"])).ok().json();
    let origin = &shown["source"];
    assert_eq!(
        (&origin["kind"], &origin["bits"], &origin["group_size"]),
        (&"conversion".into(), &4.into(), &32.into())
    );
    assert_eq!(origin["from"], source);

    // One of the store is named by its name, and a name is given.
    ran(&mut at(home, &["store", "import", source, "--name", "whole"])).ok();
    let again = ["store", "import", "whole", "--quantize", "8", "--name", "small"];
    let told = ran(&mut at(home, &again)).ok();
    assert!(told.stdout.starts_with("small: 5 files"), "{}", told.stdout);
    assert!(told.stdout.contains("written"), "{}", told.stdout);
    let refused = ran(&mut at(home, &again)).failed(1);
    assert!(refused.stderr.contains("the name small cannot be given"), "{}", refused.stderr);

    ran(&mut at(home, &["store", "verify"])).ok();
    assert_eq!(unfinished(home), 0);
    let sizes: Vec<u64> = ["whole", "small", "mistral-sharded-4bit"]
        .map(|name| ran(&mut at(home, &["store", "show", name, "--json"])).ok().json()["bytes"].as_u64().unwrap())
        .into();
    assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");

    let run = ["run", "-m", "small", "--prompt-tokens", "1,2,3", "--max-tokens", "4", "--ignore-eos", "--json"];
    let answered: Value = ran(&mut at(home, &run)).ok().json();
    assert_eq!(answered["completion_tokens"], 4);
}

#[test]
fn what_is_quantised_already_is_refused_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let source = fixture("qwen3-4bit");
    let refused = ran(&mut at(home, &["store", "import", source.to_str().unwrap(), "--quantize", "4"])).failed(1);
    assert!(refused.stderr.contains("quantised already (4-bit, groups of 64)"), "{}", refused.stderr);
    assert_eq!(unfinished(home), 0);
    assert_eq!(ran(&mut at(home, &["store", "list", "--json"])).ok().json(), Value::Array(Vec::new()));
    ran(&mut at(home, &["store", "import", "x", "--quantize", "5"])).failed(2);
    ran(&mut at(home, &["store", "import", "x", "--group-size", "64"])).failed(2);
}

/// What a killed process was writing has a folder of its own, and no lock.
#[test]
fn what_a_killed_process_was_writing_is_swept() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let folder = home.join("blobs/partial/import-1-2.converted");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), vec![0; 4096]).unwrap();
    std::fs::write(home.join("blobs/partial/import-1-2.lock"), "").unwrap();
    let freed = ran(&mut at(home, &["store", "gc", "--json"])).ok().json();
    assert_eq!(freed["bytes_freed"], 4096, "{freed}");
    assert_eq!(unfinished(home), 0);
}
