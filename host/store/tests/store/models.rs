//! Models by name, their views, and what `models.toml` names.

use std::fs;
use std::path::Path;

use wasmlx_store::{Content, Monitor, Store, StoreErrorKind};

use crate::support::{Home, begin, name};

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"weights"), ("sub/a.txt", b"text")];

/// The name that a word for a model leads to.
fn resolved(home: &Home, word: &str) -> Result<String, StoreErrorKind> {
    home.store.resolve(Some(word)).map(|model| model.name().to_owned()).map_err(|error| error.kind())
}

#[test]
fn a_word_means_the_one_model_that_it_can_mean() {
    let home = Home::new();
    for model in ["mine", "Qwen/Qwen3-0.6B", "other/Twice", "more/Twice", "a/tagged:v1"] {
        home.pull(model, FILES);
    }
    for (word, meant) in [
        ("mine", "mine"),
        ("local/models/mine", "mine"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("qwen/qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("qwen3-0.6b:main", "Qwen/Qwen3-0.6B"),
        ("more/twice", "more/Twice"),
        ("tagged", "a/tagged:v1"),
        ("a/tagged:v1", "a/tagged:v1"),
    ] {
        assert_eq!(resolved(&home, word).as_deref(), Ok(meant), "{word}");
    }
    assert_eq!(resolved(&home, "twice"), Err(StoreErrorKind::InvalidName));
    for word in ["a/tagged:v2", "tagged:v2", "Qwen", "Qwen/", "../mine", "mine/../mine", ""] {
        assert_eq!(resolved(&home, word), Err(StoreErrorKind::NotFound), "{word}");
    }
    // Of several versions the main one is meant.
    home.pull("a/tagged", FILES);
    assert_eq!(resolved(&home, "tagged").as_deref(), Ok("a/tagged"));

    let list = home.store.list().unwrap();
    let short: Vec<&str> = list.models.iter().map(|model| model.short_name.as_str()).collect();
    assert_eq!(short, ["Qwen3-0.6B", "a/tagged", "a/tagged:v1", "mine", "more/Twice", "other/Twice"]);
}

#[test]
fn a_missing_model_names_what_there_is_and_how_to_get_it() {
    let home = Home::new();
    home.pull("mine", FILES);
    let error = home.store.resolve(Some("org/huge")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert!(error.to_string().contains("builtin, mine. `wasmlx pull org/huge`"), "{error}");
}

#[test]
fn a_folder_anywhere_serves_and_is_named_by_its_last_part() {
    let home = Home::new();
    let folder = home.beside().join("tiny");
    fs::create_dir(&folder).unwrap();
    assert_eq!(home.store.resolve(folder.to_str()).unwrap_err().kind(), StoreErrorKind::InvalidModel);
    fs::write(folder.join("config.json"), "{}").unwrap();
    let model = home.store.resolve(folder.to_str()).unwrap();
    assert_eq!((model.name(), model.is_stored()), ("tiny", false));
    let roundabout = folder.join("../tiny/.");
    assert_eq!(home.store.resolve(roundabout.to_str()).unwrap().path(), model.path());
}

/// A file that is there and cannot be read is not the same as none.
#[cfg(unix)]
#[test]
fn a_config_that_cannot_be_read_is_told() {
    let home = Home::new();
    std::os::unix::fs::symlink("config.json", home.beside().join("config.json")).unwrap();
    let error = home.store.resolve(home.beside().to_str()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
}

#[test]
fn a_folder_that_is_named_in_the_mapping_is_used_in_place() {
    let home = Home::new();
    let folder = home.beside().join("elsewhere");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"model_type": "qwen3"}"#).unwrap();
    home.pull("mine", FILES);
    fs::create_dir_all(home.store.home()).unwrap();
    let mapping = home.store.home().join("models.toml");
    fs::write(&mapping, "mine = '../elsewhere'\nlost = '/nowhere/at/all'\n").unwrap();

    let model = home.store.resolve(Some("mine")).unwrap();
    assert_eq!(model.path().canonicalize().unwrap(), folder.canonicalize().unwrap());
    // The one in the store has its long name still.
    assert!(home.store.resolve(Some("local/models/mine")).unwrap().path().starts_with(home.store.home()));
    let list = home.store.list().unwrap();
    assert!(list.models.iter().any(|model| matches!(&model.content, Content::Folder(_)) && model.name == "mine"));
    assert_eq!(list.broken.iter().map(|broken| broken.name.as_str()).collect::<Vec<_>>(), ["lost"]);
    assert_eq!(home.store.remove(&["mine"]).unwrap_err().kind(), StoreErrorKind::InvalidName);

    for wrong in ["mine = ", "mine = 3", "[mine]", "\u{0}"] {
        fs::write(&mapping, wrong).unwrap();
        let error = home.store.resolve(Some("mine")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidManifest, "{wrong}");
        assert!(error.to_string().contains("models.toml"), "{error}");
        assert_eq!(home.store.list().unwrap().broken[0].name, "models.toml");
        home.store.resolve(None).unwrap();
    }
}

/// What a folder holds: paths from it on, with their bytes.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        match entry.path() {
            inner if inner.is_dir() => {
                found.extend(content(&inner).into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
            }
            file => found.push((name, fs::read(file).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_view_is_the_models_files_and_is_made_anew_when_it_is_not() {
    let home = Home::new();
    home.pull("a/b", FILES);
    let whole: Vec<(String, Vec<u8>)> =
        FILES.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let view = home.store.resolve(Some("a/b")).unwrap().path().to_path_buf();
    assert_eq!(content(&view), whole);

    let weights = view.join("model.safetensors");
    let spoil: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&weights).unwrap(),
        &|| {
            fs::remove_file(&weights).unwrap();
            fs::write(&weights, b"changed").unwrap();
        },
        &|| fs::write(view.join("model-00002.safetensors"), b"of another version").unwrap(),
        &|| fs::remove_dir_all(view.parent().unwrap()).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        assert_eq!(home.store.resolve(Some("b")).unwrap().path(), view);
        assert_eq!(content(&view), whole);
    }
    assert_eq!(fs::read_dir(home.store.models()).unwrap().count(), 1, "nothing of the making is left");
}

const SHARDS: &[(&str, &[u8])] =
    &[("config.json", b"{}"), ("one.safetensors", b"1 old"), ("two.safetensors", b"2 old")];
const LATER: &[(&str, &[u8])] = &[("config.json", b"{}"), ("one.safetensors", b"1 new"), ("two.safetensors", b"2 new")];

#[test]
fn who_opens_files_one_by_one_gets_those_of_one_version() {
    let home = Home::new();
    home.pull("a/b", SHARDS);
    let model = home.store.resolve(Some("a/b")).unwrap();
    let read = |folder: &Path, path: &str| fs::read_to_string(folder.join(path)).unwrap();
    assert_eq!(read(model.path(), "one.safetensors"), "1 old");
    home.pull("a/b", LATER);
    let later = home.store.resolve(Some("a/b")).unwrap().path().to_path_buf();
    assert_eq!((read(&later, "one.safetensors"), read(&later, "two.safetensors")), ("1 new".into(), "2 new".into()));
    assert_eq!(read(model.path(), "two.safetensors"), "2 old");
    // For as long as somebody here reads it, whatever is done to the store.
    home.store.collect_garbage(true).unwrap();
    assert_eq!(read(model.path(), "two.safetensors"), "2 old");
    home.store.remove(&["a/b"]).unwrap();
    assert_eq!(read(model.path(), "two.safetensors"), "2 old");
    assert!(!later.exists());
    drop(model);
    home.store.collect_garbage(false).unwrap();
    assert!(!home.store.models().join("huggingface.co").exists());
}

/// As mlx-lm does with what `wasmlx store path` told, which takes no lock.
#[test]
fn a_folder_that_was_told_outlasts_the_next_version_and_no_more() {
    let home = Home::new();
    home.pull("a/b", SHARDS);
    let told = home.store.resolve(Some("a/b")).unwrap().path().to_path_buf();
    home.pull("a/b", LATER);
    assert_eq!(fs::read(told.join("two.safetensors")).unwrap(), b"2 old");
    // What is bound is no file of the model.
    let later = home.store.resolve(Some("a/b")).unwrap().path().to_path_buf();
    home.store.bind("a/b", |bindings| bindings.system = Some("Be brief.".to_owned())).unwrap();
    assert_eq!(home.store.resolve(Some("a/b")).unwrap().path(), later);
    home.pull("c/d", FILES);
    assert!(!told.exists());
    assert!(later.exists());
}

/// A disk that knows no hard links, such as exFAT.
#[cfg(unix)]
#[test]
fn symbolic_links_lead_to_files_for_as_long_as_they_are_read() {
    let home = Home::new();
    let manifest = home.pull("a/b", SHARDS);
    let model = home.store.resolve(Some("a/b")).unwrap();
    for file in &manifest.files {
        let link = model.path().join(&file.path);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(home.store.blobs().path(&file.sha256), link).unwrap();
    }
    assert_eq!(home.store.resolve(Some("a/b")).unwrap().path(), model.path(), "it is as right as the other");
    home.pull("a/b", LATER);
    home.store.collect_garbage(false).unwrap();
    assert_eq!(fs::read(model.path().join("two.safetensors")).unwrap(), b"2 old");
    drop(model);
    assert_eq!(home.store.collect_garbage(false).unwrap().swept.files, 2);
    assert_eq!(home.blobs(), 3);
}

#[test]
fn removing_one_model_leaves_what_others_share() {
    let home = Home::new();
    home.pull("a/b", FILES);
    home.pull("c/d", &[FILES[0], FILES[1], ("more.txt", b"more")]);
    home.store.resolve(Some("a/b")).unwrap();
    let removed = home.store.remove(&["b"]).unwrap();
    assert_eq!((removed.names, removed.swept.files), (vec!["a/b".to_owned()], 1));
    assert_eq!(resolved(&home, "c/d").as_deref(), Ok("c/d"));
    assert!(!home.store.models().join("huggingface.co/a").exists());
    // Where one of several is not there none is removed.
    assert_eq!(home.store.remove(&["c/d", "a/b"]).unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(resolved(&home, "c/d").as_deref(), Ok("c/d"));
    home.store.remove(&["c/d"]).unwrap();
    assert_eq!(home.blobs(), 0);
}

#[test]
fn what_is_unfinished_is_listed_and_goes_when_it_is_told_to() {
    let home = Home::new();
    let pull = begin(&home.store, "a/b", FILES);
    crate::support::fetch(&pull, "model.safetensors", b"weights");
    let unfinished = || home.store.list().unwrap().unfinished;
    let [model] = &unfinished()[..] else { panic!() };
    assert_eq!((model.name.as_str(), model.done, model.total, model.is_active), ("a/b", 7, 13, true));
    // Somebody works at it.
    assert_eq!(home.store.remove(&["a/b"]).unwrap_err().kind(), StoreErrorKind::Busy);
    assert!(home.store.collect_garbage(true).unwrap().names.is_empty());
    drop(pull);
    assert!(!unfinished()[0].is_active);
    assert_eq!(home.store.collect_garbage(false).unwrap().swept.files, 0);
    // It is removed by its short name, too, as any model is.
    drop(begin(&home.store, "c/Other", FILES));
    assert_eq!(home.store.remove(&["other"]).unwrap().names, ["c/Other"]);
    let gone = home.store.collect_garbage(true).unwrap();
    assert_eq!((gone.names, gone.swept.bytes), (vec!["a/b".to_owned()], 7));
    assert!(unfinished().is_empty());
}

#[test]
fn how_often_a_model_was_used_is_known_and_may_be_lost() {
    let home = Home::new();
    home.pull("a/b", FILES);
    let usage = |store: &Store| store.list().unwrap().models[0].usage.map(|usage| usage.times_used);
    assert_eq!(usage(&home.store), None);
    for _ in 0..2 {
        home.store.note_use("a/b").unwrap();
    }
    assert_eq!(usage(&home.store), Some(2));
    fs::write(home.store.home().join("usage.json"), "torn").unwrap();
    assert_eq!(usage(&home.store), None);
    home.store.note_use("a/b").unwrap();
    assert_eq!(usage(&home.store), Some(1));
}

#[test]
fn the_name_of_the_built_in_model_is_nobody_elses() {
    let home = Home::new();
    let folder = home.beside().join("m");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("model.safetensors"), b"weights").unwrap();
    let refused = home.store.import(&folder, None, Some("builtin"), &Monitor::none()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::InvalidName);
    assert!(home.store.manifest(&name("builtin")).unwrap().is_none());
}
