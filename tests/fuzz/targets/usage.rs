//! `usage.json`: one that cannot be read is forgotten, and written anew.

use std::fs;

use super::Home;

pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let store = HOME.store();
    fs::create_dir_all(store.home()).unwrap();
    let file = store.home().join("usage.json");
    fs::write(&file, bytes).unwrap();
    store.list().unwrap();
    store.note_use("mine").unwrap();
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(written["models"]["mine"]["times_used"].as_u64().is_some_and(|times| times > 0));
}
