//! Installing, tearing and removing components.

use std::fs;

use super::*;

fn components() -> (tempfile::TempDir, InstalledComponents) {
    let home = tempfile::tempdir().unwrap();
    let components = InstalledComponents::new(home.path().join("components"), false);
    (home, components)
}

fn entry(name: &str) -> ComponentEntry {
    ComponentEntry {
        name: name.to_owned(),
        digest: String::new(),
        size: 0,
        kind: "sampling policy".to_owned(),
        version: "0.1.0".to_owned(),
        description: String::new(),
        cost: None,
        source: None,
        signer: None,
    }
}

fn blobs(components: &InstalledComponents) -> usize {
    files_with(&components.folder, "wasm").unwrap().len()
}

fn names(components: &InstalledComponents) -> Vec<String> {
    components.list().unwrap().entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn what_is_added_is_read_back_and_replaced() {
    let (_home, components) = components();
    assert!(components.list().unwrap().entries.is_empty());
    assert!(components.read("a").unwrap().is_none());
    assert!(components.add(entry("a"), b"one").unwrap().is_none());
    let (added, bytes) = components.read("a").unwrap().unwrap();
    assert_eq!((bytes.as_slice(), added.size), (&b"one"[..], 3));

    let before = components.add(entry("a"), b"two").unwrap().unwrap();
    assert_eq!(before.digest, added.digest);
    assert_eq!(components.read("a").unwrap().unwrap().1, b"two");
    // Nobody stands for the old bytes.
    assert_eq!(blobs(&components), 1);
}

#[test]
fn where_it_came_from_and_who_signed_it_stays_with_it() {
    let (_home, components) = components();
    let source = ComponentSource::of_file("dir/a\nb.wasm".as_ref());
    let signer = Signer { key: "RWQ".to_owned(), comment: "today".to_owned() };
    let told = ComponentEntry { source: Some(source.clone()), signer: Some(signer.clone()), ..entry("a") };
    components.add(told, b"one").unwrap();
    let found = components.find("a").unwrap().unwrap();
    assert_eq!((found.source, found.signer), (Some(source), Some(signer)));
    // What would act on a terminal was not written here.
    let file = components.names().join("a.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("today", "to\\u001bday")).unwrap();
    assert_eq!(components.find("a").unwrap_err().kind(), StoreErrorKind::InvalidComponent);
}

#[test]
fn bytes_stay_while_a_name_stands_for_them() {
    let (_home, components) = components();
    for name in ["a", "b"] {
        components.add(entry(name), b"same").unwrap();
    }
    assert_eq!(blobs(&components), 1);
    assert_eq!(components.remove("a").unwrap(), ["a"]);
    assert_eq!(components.read("b").unwrap().unwrap().1, b"same");
    assert_eq!(components.remove("b").unwrap(), ["b"]);
    assert_eq!(blobs(&components), 0);
    assert_eq!(components.remove("b").unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[test]
fn a_digest_removes_all_its_names() {
    let (_home, components) = components();
    for (name, bytes) in [("a", b"same!"), ("b", b"same!"), ("c", b"other")] {
        components.add(entry(name), bytes).unwrap();
    }
    let digest = components.find("a").unwrap().unwrap().digest;
    assert_eq!(components.remove(&digest[..4]).unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(components.remove(&format!("sha256-{}", &digest[..12])).unwrap(), ["a", "b"]);
    assert_eq!((names(&components), blobs(&components)), (vec!["c".to_owned()], 1));
}

#[test]
fn bytes_that_were_torn_or_changed_are_refused_and_mended_by_adding_again() {
    let (_home, components) = components();
    components.add(entry("a"), b"the whole component").unwrap();
    let blob = components.blob(&components.find("a").unwrap().unwrap().digest);
    for damage in [&b"the whole"[..], b"the whole compinent", b""] {
        fs::write(&blob, damage).unwrap();
        let error = components.read("a").unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidComponent, "{error}");
        assert!(error.to_string().contains("install it again"), "{error}");
    }
    fs::remove_file(&blob).unwrap();
    assert_eq!(components.read("a").unwrap_err().kind(), StoreErrorKind::InvalidComponent);
    components.add(entry("a"), b"the whole component").unwrap();
    assert!(components.read("a").unwrap().is_some());
}

#[test]
fn a_torn_entry_is_told_and_spoils_no_other() {
    let (_home, components) = components();
    for name in ["a", "b"] {
        components.add(entry(name), name.as_bytes()).unwrap();
    }
    let file = components.name_file("a");
    let whole = fs::read_to_string(&file).unwrap();
    let digest = Digest::of(b"a").to_string();
    for torn in [
        whole[..whole.len() / 2].to_owned(),
        whole.replace(&digest, "../../etc/passwd"),
        whole.replace("sampling policy", "\\u001b[2J"),
        whole.replace("\"a\"", "\"b\""),
        whole.replace("\"schema\": 1", "\"schema\": 2"),
    ] {
        assert_ne!(torn, whole);
        fs::write(&file, torn).unwrap();
        assert_eq!(components.read("a").unwrap_err().kind(), StoreErrorKind::InvalidComponent);
        let listing = components.list().unwrap();
        assert_eq!((listing.entries.len(), listing.broken.len()), (1, 1));
        assert!(components.read("b").unwrap().is_some());
    }
    assert_eq!(components.remove("a").unwrap(), ["a"]);
    assert_eq!(names(&components), ["b"]);
}

#[test]
fn names_lead_nowhere_and_differ_in_more_than_case() {
    let (home, components) = components();
    for name in ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a.wasm", "a b", "a\n", &"a".repeat(65)] {
        let error = components.add(entry(name), b"1").unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidName, "{name:?}");
        assert!(components.read(name).unwrap().is_none());
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    components.add(entry("Min-P.2"), b"1").unwrap();
    assert_eq!(components.add(entry("min-p.2"), b"1").unwrap_err().kind(), StoreErrorKind::InvalidName);
}

#[test]
fn what_was_left_unfinished_goes_with_the_next_change() {
    let (_home, components) = components();
    components.add(entry("a"), b"1").unwrap();
    let left = [
        components.folder.join("x.new"),
        components.names().join("x.new"),
        components.blob(&Digest::of(b"2").to_string()),
    ];
    for path in &left {
        fs::write(path, b"half").unwrap();
    }
    assert_eq!(names(&components), ["a"]);
    components.add(entry("b"), b"1").unwrap();
    assert!(left.iter().all(|path| !path.exists()));
}

#[test]
fn a_cost_is_kept_with_the_digest_that_it_is_of() {
    let (_home, components) = components();
    components.add(entry("a"), b"1").unwrap();
    let digest = components.find("a").unwrap().unwrap().digest;
    assert!(components.set_cost("a", &digest, Value::from(7)).unwrap());
    assert_eq!(components.find("a").unwrap().unwrap().cost, Some(Value::from(7)));
    components.add(entry("a"), b"2").unwrap();
    assert!(!components.set_cost("a", &digest, Value::from(8)).unwrap());
    assert_eq!(components.find("a").unwrap().unwrap().cost, None);
}

/// The lock is of a file, so threads that each open it exclude one another as processes do.
#[test]
fn many_that_add_and_remove_at_once_leave_everything_whole() {
    let (_home, components) = components();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let components = &components;
            scope.spawn(move || {
                for round in 0..20 {
                    let bytes = format!("{}", round % 3);
                    components.add(entry("shared"), bytes.as_bytes()).unwrap();
                    components.add(entry(&format!("own-{writer}")), bytes.as_bytes()).unwrap();
                    assert!(components.read("shared").unwrap().is_some());
                    if round % 5 == 4 {
                        components.remove(&format!("own-{writer}")).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(names(&components), ["shared"]);
    assert_eq!(components.read("shared").unwrap().unwrap().1, b"1");
    assert_eq!(blobs(&components), 1);
}
