//! A store in a folder of its own.

use std::path::Path;

use wasmlx_store::{
    Digest, GitHash, Manifest, ManifestFile, ModelFacts, Monitor, Name, Opened, PartialKey, Pull, Source, Store,
    WantedFile,
};

/// A store, gone with the value.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("home"));
        Self { folder, store }
    }

    /// A folder beside the home.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// How many blobs there are.
    pub(crate) fn blobs(&self) -> usize {
        let entries = std::fs::read_dir(self.store.home().join("blobs")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_file()).count()
    }

    /// Fetches a model as from a hub: files by their SHA-256, those whose path ends in `.json` by git's hash.
    pub(crate) fn pull(&self, name: &str, files: &[(&str, &[u8])]) -> Manifest {
        let pull = begin(&self.store, name, files);
        finish(pull, files)
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(path: &str, bytes: &[u8]) -> PartialKey {
    match path.ends_with(".json") {
        true => PartialKey::Git(GitHash::of(bytes)),
        false => PartialKey::Sha256(Digest::of(bytes)),
    }
}

pub(crate) fn begin(store: &Store, model: &str, files: &[(&str, &[u8])]) -> Pull {
    let wanted = files.iter().map(|(path, bytes)| WantedFile {
        path: (*path).to_owned(),
        key: key(path, bytes),
        size: bytes.len() as u64,
    });
    store.begin_pull(&name(model), wanted.collect(), &|| panic!("nobody else"), &Monitor::none()).unwrap()
}

/// Fetches a file that a pull wants.
pub(crate) fn fetch(pull: &Pull, path: &str, bytes: &[u8]) -> Digest {
    let wanted = pull.files().iter().find(|file| file.path == path).unwrap();
    match pull.open(wanted, &|| panic!("nobody else"), &Monitor::none()).unwrap() {
        Opened::Complete(digest) => digest,
        Opened::Partial(partial) => {
            partial.write_at(0, bytes).unwrap();
            partial.finish().unwrap()
        }
    }
}

pub(crate) fn finish(pull: Pull, files: &[(&str, &[u8])]) -> Manifest {
    let files = files.iter().map(|(path, bytes)| ManifestFile {
        path: (*path).to_owned(),
        sha256: fetch(&pull, path, bytes),
        size: bytes.len() as u64,
        git: path.ends_with(".json").then(|| GitHash::of(bytes)),
    });
    let manifest = Manifest {
        name: pull.name().clone(),
        source: Source::Hub {
            endpoint: "https://huggingface.co".to_owned(),
            repository: pull.name().repository(),
            revision: "main".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            chosen: false,
        },
        created: 1_700_000_000,
        files: files.collect(),
        facts: ModelFacts::default(),
        bindings: wasmlx_store::Bindings::default(),
    };
    pull.commit(manifest).unwrap()
}
