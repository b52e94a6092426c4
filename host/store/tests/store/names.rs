//! Names: what they are read as, and that none leads out of the store.

use proptest::prelude::*;
use wasmlx_store::{Name, StoreErrorKind};

use crate::support::{Home, name};

#[test]
fn names_are_read_as_they_are_shown() {
    let read = [
        ("qwen", "local/models/qwen", "main"),
        ("Qwen/Qwen3-0.6B", "huggingface.co/Qwen/Qwen3-0.6B", "main"),
        ("huggingface.co/Qwen/Qwen3-0.6B:main", "huggingface.co/Qwen/Qwen3-0.6B", "main"),
        ("a/b:refs/pr/1", "huggingface.co/a/b", "refs/pr/1"),
        ("hub.example.org/a/b:v1.0", "hub.example.org/a/b", "v1.0"),
    ];
    for (text, parts, tag) in read {
        let name = name(text);
        assert_eq!(format!("{}/{}/{}", name.host(), name.namespace(), name.short()), parts, "{text}");
        assert_eq!(name.tag(), tag, "{text}");
        assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
    }
    assert_eq!(name("huggingface.co/Qwen/Qwen3-0.6B").to_string(), "Qwen/Qwen3-0.6B");
    assert_eq!(name("local/models/mine").to_string(), "mine");
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "x".repeat(97);
    for text in [
        "", "/", "a/", "/a", "a//b", "../a", "a/..", "a/../b", ".hidden", "a/b/c/d", "a\\b", "a b", "a:", "a:b c", "é",
        "a\0", "a:\n", "C:\\x", &long,
    ] {
        let refused = Name::parse(text).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::InvalidName, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a name is made of, what is stored by it lies in the store, and is found by it and no other.
    #[test]
    fn no_name_leads_out_of_the_store(text in "[a-zA-Z0-9._/:%~ \\\\-]{0,24}") {
        let home = Home::new();
        if let Ok(name) = Name::parse(&text) {
            home.pull(&text, &[("config.json", b"{}")]);
            prop_assert_eq!(home.store.manifest(&name).unwrap().unwrap().name, name);
            let beside: Vec<_> = std::fs::read_dir(home.beside()).unwrap().flatten().map(|it| it.file_name()).collect();
            prop_assert_eq!(beside, ["home"]);
            let mut inside: Vec<_> =
                std::fs::read_dir(home.store.home()).unwrap().flatten().map(|it| it.file_name()).collect();
            inside.sort();
            prop_assert_eq!(inside, ["blobs", "manifests", "store.lock"]);
        }
    }
}
