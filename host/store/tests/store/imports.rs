//! What can be imported, what is refused, and what becomes of the originals.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx_store::{Digest, GitHash, Monitor, Source, StoreErrorKind};

use crate::support::Home;

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn import(home: &Home, path: &Path, model: Option<&str>) -> Result<(String, Vec<String>), StoreErrorKind> {
    let imported = home.store.import(path, model, None, &Monitor::none()).map_err(|error| error.kind())?;
    let paths = imported.manifest.files.iter().map(|file| file.path.clone()).collect();
    Ok((imported.manifest.name.to_string(), paths))
}

#[test]
fn a_folder_gives_what_a_runner_needs() {
    let home = Home::new();
    let folder = home.beside().join("My Model");
    write(
        &folder,
        &[
            ("config.json", b"{}"),
            ("model.safetensors", b"weights"),
            ("tokenizer.model", b"pieces"),
            ("1_Pooling/config.json", b"{}"),
            ("pytorch_model.bin", b"other weights"),
            ("model.gguf", b"other weights"),
            (".git/config", b"hidden"),
            ("LICENSE", b"free"),
        ],
    );
    let (name, files) = import(&home, &folder, None).unwrap();
    assert_eq!(name, "My-Model");
    assert_eq!(files, ["1_Pooling/config.json", "LICENSE", "config.json", "model.safetensors", "tokenizer.model"]);
    let manifest = home.store.manifest(&crate::support::name("My-Model")).unwrap().unwrap();
    assert_eq!(manifest.source, Source::Import { path: folder.canonicalize().unwrap().display().to_string() });
    // The same once more is nothing new; other files by the same name are not taken for it.
    assert!(import(&home, &folder, None).is_ok());
    write(&folder, &[("model.safetensors", b"other weights")]);
    assert_eq!(import(&home, &folder, None), Err(StoreErrorKind::InvalidName));
    assert_eq!(home.store.manifest(&crate::support::name("My-Model")).unwrap(), Some(manifest));
    assert_eq!(home.blobs(), 4);
}

/// What is known of a pulled model's origin is not forgotten for a folder with the same files.
#[test]
fn a_pulled_model_that_is_imported_too_stays_one_of_the_hub() {
    let home = Home::new();
    let files: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"weights")];
    let pulled = home.pull("a/b", files);
    let folder = home.beside().join("b");
    write(&folder, files);
    let imported = home.store.import(&folder, None, Some("a/b"), &Monitor::none()).unwrap();
    assert_eq!(imported.manifest.source, pulled.source);
    assert_eq!(home.store.manifest(&crate::support::name("a/b")).unwrap(), Some(imported.manifest));
}

#[test]
fn a_file_of_weights_comes_with_what_lies_beside_it() {
    let home = Home::new();
    let folder = home.beside().join("m");
    write(&folder, &[("config.json", b"{}"), ("a.safetensors", b"a"), ("model-b.safetensors", b"b"), ("x.json", b"x")]);
    let (name, files) = import(&home, &folder.join("model-b.safetensors"), None).unwrap();
    let expected = ["config.json", "model-b.safetensors", "x.json"].map(str::to_owned);
    assert_eq!((name.as_str(), &files[..]), ("m", &expected[..]));
    // A runner would not load it.
    assert_eq!(import(&home, &folder.join("a.safetensors"), None), Err(StoreErrorKind::InvalidModel));
}

#[test]
fn what_is_no_model_is_refused() {
    let home = Home::new();
    let folder = home.beside().join("m");
    assert_eq!(import(&home, &folder, None), Err(StoreErrorKind::NotFound));
    write(&folder, &[("model.gguf", b"weights"), ("notes.txt", b"")]);
    let error = home.store.import(&folder, None, None, &Monitor::none()).unwrap_err();
    assert!(error.to_string().contains("GGUF files do not run here"), "{error}");
    assert_eq!(import(&home, &folder.join("notes.txt"), None), Err(StoreErrorKind::InvalidModel));
    write(&folder, &[("config.json", b"{}")]);
    assert_eq!(import(&home, &folder, None), Err(StoreErrorKind::InvalidModel));
    assert!(!home.store.home().exists());
}

#[test]
fn who_breaks_it_off_leaves_nothing() {
    let home = Home::new();
    let folder = home.beside().join("m");
    write(&folder, &[("config.json", b"{}"), ("model.safetensors", b"weights")]);
    let monitor = Monitor::new(&|_| {}, &|| true);
    let error = home.store.import(&folder, None, None, &monitor).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Cancelled);
    assert_eq!(home.blobs() + fs::read_dir(home.store.home().join("blobs/partial")).unwrap().count(), 0);
    assert!(home.store.list().unwrap().unfinished.is_empty());
}

#[test]
fn an_import_that_fails_leaves_a_pull_of_the_same_name_as_it_was() {
    let home = Home::new();
    let files: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"weights")];
    let pull = crate::support::begin(&home.store, "m", files);
    crate::support::fetch(&pull, "model.safetensors", b"weights");
    drop(pull);
    let folder = home.beside().join("m");
    write(&folder, files);
    let monitor = Monitor::new(&|_| {}, &|| true);
    assert!(home.store.import(&folder, None, None, &monitor).is_err());
    assert_eq!(home.store.list().unwrap().unfinished[0].done, 7);
    // Who imports it is done with the pull.
    assert!(import(&home, &folder, None).is_ok());
    assert!(home.store.list().unwrap().unfinished.is_empty());
    assert_eq!(home.blobs(), 2);
}

/// A model in a cache as the hub's own client keeps it; the folder of its snapshot.
#[cfg(unix)]
fn cached(cache: &Path, repository: &str, commit: &str, weights: &[u8]) -> PathBuf {
    let model = cache.join(format!("models--{}", repository.replace('/', "--")));
    let config = b"{}";
    let named = [
        ("config.json", GitHash::of(config).to_string(), &config[..]),
        ("model.safetensors", Digest::of(weights).to_string(), weights),
    ];
    write(&model, &[("refs/main", commit.as_bytes())]);
    let snapshot = model.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    for (file, blob, bytes) in named {
        write(&model, &[(&format!("blobs/{blob}"), bytes)]);
        let link = snapshot.join(file);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("../../blobs/{blob}"), link).unwrap();
    }
    snapshot
}

#[cfg(unix)]
#[test]
fn a_cache_of_the_hubs_client_gives_its_models_under_their_names() {
    let home = Home::new();
    let root = home.beside().join("huggingface");
    let cache = root.join("hub");
    let old = cached(&cache, "org/one", "1111", b"old weights");
    let snapshot = cached(&cache, "org/one", "2222", b"weights");
    let files = ["config.json".to_owned(), "model.safetensors".to_owned()];
    let expected = Ok(("org/one".to_owned(), files.to_vec()));
    for place in [&root, &cache, &cache.join("models--org--one"), &snapshot] {
        assert_eq!(import(&home, place, None), expected, "{}", place.display());
    }
    assert_eq!(import(&home, &old, None).unwrap().0, "org/one:1111");
    cached(&cache, "org/two", "3333", b"more weights");
    let error = home.store.import(&root, None, None, &Monitor::none()).unwrap_err();
    assert!(error.to_string().contains("org/one, org/two"), "{error}");
    assert_eq!(import(&home, &cache, Some("org/two")).unwrap().0, "org/two");
    assert_eq!(import(&home, &root, Some("org/three")), Err(StoreErrorKind::NotFound));
    // What the hub says of small files is kept, so that a pull need not fetch them.
    let manifest = home.store.manifest(&crate::support::name("org/two")).unwrap().unwrap();
    assert_eq!(manifest.files[0].git, Some(GitHash::of(b"{}")));
}

#[cfg(unix)]
#[test]
fn a_cache_whose_file_was_changed_is_not_believed() {
    let home = Home::new();
    let snapshot = cached(home.beside(), "org/one", "1111", b"weights");
    fs::write(snapshot.join("model.safetensors"), b"changed").unwrap();
    assert_eq!(import(&home, &snapshot, None), Err(StoreErrorKind::Corrupt));
    assert_eq!(home.blobs(), 0);
}

/// Large files share their bytes with the originals, whose mode stays theirs; small ones are the store's own.
#[cfg(unix)]
#[test]
fn originals_stay_as_they_are() {
    use std::os::unix::fs::MetadataExt as _;

    let home = Home::new();
    let folder = home.beside().join("m");
    write(&folder, &[("config.json", b"{}"), ("model.safetensors", &vec![7; 17 << 20])]);
    let imported = home.store.import(&folder, None, None, &Monitor::none()).unwrap();
    assert_eq!((imported.linked, imported.copied), (17 << 20, 2));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for file in ["config.json", "model.safetensors"] {
        assert_ne!(mode(&folder.join(file)) & 0o200, 0, "{file} can be written to");
    }
    let view = home.store.resolve(Some("m")).unwrap();
    assert_eq!(mode(&view.path().join("config.json")), 0o444);
    fs::write(folder.join("config.json"), "changed").unwrap();
    assert!(home.store.verify(&Monitor::none()).unwrap().faults.is_empty());
    // Removing the model leaves the originals.
    home.store.remove(&["m"]).unwrap();
    assert_eq!(fs::metadata(folder.join("model.safetensors")).unwrap().len(), 17 << 20);
}
