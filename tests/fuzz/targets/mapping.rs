//! `models.toml`, which its user writes.

use std::fs;

use super::Home;

pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let store = HOME.store();
    fs::create_dir_all(store.home()).unwrap();
    fs::write(store.home().join("models.toml"), bytes).unwrap();
    let list = store.list().unwrap();
    for broken in &list.broken {
        assert!(!broken.why.is_empty(), "{}", broken.name);
    }
    let _ = store.resolve(Some("mine"));
}
