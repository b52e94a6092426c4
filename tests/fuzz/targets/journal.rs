//! The journal of an unfinished file: what it says is there is within the file, and the file is hashed in the end.

use std::fs;

use wasmlx_store::{Digest, Monitor, Opened, Partial, PartialKey};

use super::Home;

/// Bytes of the file.
const SIZE: u64 = 1000;

pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let store = HOME.store();
    let folder = store.home().join("blobs/partial");
    fs::create_dir_all(&folder).unwrap();
    let content = [7; SIZE as usize];
    let key = PartialKey::Sha256(Digest::of(&content));
    fs::write(folder.join(format!("{key}.json")), bytes).unwrap();
    fs::write(folder.join(format!("{key}.part")), content).unwrap();
    let opened = Partial::open(&store.blobs(), key, SIZE, &|| {}, &Monitor::none()).unwrap();
    let Opened::Partial(partial) = opened else { panic!("nothing says that it is whole") };
    let missing = partial.missing();
    assert!(missing.is_sorted_by(|one, other| one.end < other.start) && missing.iter().all(|gap| gap.end <= SIZE));
    let gaps: u64 = missing.iter().map(|gap| gap.end - gap.start).sum();
    assert_eq!(partial.done() + gaps, SIZE);
    for gap in missing {
        partial.write_at(gap.start, &content[gap.start as usize..gap.end as usize]).unwrap();
        partial.record(gap).unwrap();
    }
    let digest = partial.finish().unwrap();
    fs::remove_file(store.blobs().path(&digest)).unwrap();
}
