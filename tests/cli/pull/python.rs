//! The hub of these tests, seen by the client that the real one is made for.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmlx_hub_server::{HubServer, Repository};

use super::model;

/// The version of `huggingface_hub` on PyPI.
const VERSION: &str = "2.4.0";

#[test]
#[ignore = "installs a package from PyPI"]
fn huggingface_hub_pulls_from_the_same_server() {
    let hub = HubServer::start();
    let whole = model("maker/model", 1, 9 << 20)
        .file("a folder/with spaces & more.txt", "text")
        .field("downloads", 7)
        .field("pipeline_tag", "text-generation")
        .tag("v1");
    hub.add(whole.clone());
    hub.add(model("maker/gated", 2, 100).gated());
    hub.add(Repository::new("maker/private").file("config.json", "{}").private());
    hub.token("hf_member", true);
    hub.page_size(3);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub/client.py");
    let cache = tempfile::tempdir().unwrap();
    let ran = Command::new(python())
        .arg(script)
        .args([hub.url(), &whole.commit()])
        .arg(cache.path())
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HOME", cache.path())
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// A Python that has the client, in the target folder.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("huggingface-hub-{VERSION}"));
    let python = folder.join("bin/python");
    let has_client = Command::new(&python).args(["-c", "import huggingface_hub"]).output();
    if !has_client.is_ok_and(|ran| ran.status.success()) {
        let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let package = format!("huggingface_hub=={VERSION}");
        done(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]));
    }
    python
}
