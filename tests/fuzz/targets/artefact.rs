//! A compiled component's file (`.cwasm`). Nobody without the key makes one that is used: whatever lies there, the
//! component is compiled anew, and works.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use wasmlx_components::{Runtime, RuntimeOptions};

/// A small component: it is compiled anew for nearly every input.
const COMPONENT: &[u8] = include_bytes!("../corpus/component/sampling-policy");

/// A cache of one component: its folder, the artefact's path and content.
struct Cache {
    folder: tempfile::TempDir,
    path: PathBuf,
    whole: Vec<u8>,
}

static CACHE: LazyLock<Cache> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path());
    let mut paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap();
    let whole = fs::read(&path).unwrap();
    Cache { folder, path, whole }
});

fn load(folder: &Path) {
    let options = RuntimeOptions { cache_dir: Some(folder.to_owned()), ..RuntimeOptions::default() };
    Runtime::new(options).unwrap().load("small", COMPONENT).unwrap();
}

/// The first byte says what the others take the place of: of the whole file, or of what lies at some place of it.
pub(super) fn run(bytes: &[u8]) {
    let Some((&place, bytes)) = bytes.split_first() else { return };
    let Cache { folder, path, whole } = &*CACHE;
    let mut file = whole.clone();
    if place == 0 {
        file = bytes.to_vec();
    } else {
        let start = (usize::from(place) - 1) * whole.len() / 255;
        for (old, new) in file[start..].iter_mut().zip(bytes) {
            *old = *new;
        }
    }
    fs::write(path, &file).unwrap();
    load(folder.path());
    let after = fs::read(path).unwrap();
    assert!(file == *whole || after != file, "a file that this host did not write was used");
    fs::write(path, whole).unwrap();
}
