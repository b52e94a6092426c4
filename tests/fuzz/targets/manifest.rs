//! A model's manifest, and the intent of a pull: what lies in the store may be anyone's.

use std::fs;

use wasmlx_store::{Name, StoreErrorKind};

use super::Home;

/// The first byte says which of the two it is.
pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let Some((first, text)) = bytes.split_first() else { return };
    let store = HOME.store();
    let folder = store.home().join("manifests/huggingface.co/maker/model");
    let [manifest, intent] = ["main.json", "main.json.pulling"].map(|file| folder.join(file));
    fs::create_dir_all(&folder).unwrap();
    for (path, is_it) in [(manifest, first % 2 == 0), (intent, first % 2 == 1)] {
        if is_it { fs::write(path, text).unwrap() } else { drop(fs::remove_file(path)) }
    }
    let read = store.manifest(&Name::parse("maker/model").unwrap());
    match &read {
        Ok(Some(manifest)) => {
            for path in manifest.files.iter().map(|file| file.path.as_str()) {
                let is_plain = |part: &str| !["", ".", ".."].contains(&part) && !part.contains(['\\', ':']);
                assert!(path.split('/').all(is_plain), "{path:?} leads elsewhere");
            }
        }
        Ok(None) => assert_eq!(first % 2, 1),
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::InvalidManifest, "{error}"),
    }
    let list = store.list().unwrap();
    assert!(list.models.len() + list.broken.len() + list.unfinished.len() <= 1);
    // Who cannot be asked what is needed may need everything.
    let swept = store.collect_garbage(false).unwrap().swept;
    assert!(read.is_ok() || !swept.hindered.is_empty(), "{swept:?}");
}
