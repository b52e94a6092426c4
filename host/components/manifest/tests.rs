//! Tests of manifests, hostile ones above all.

use proptest::prelude::*;

use super::*;

const PLAIN: &str = r#"
name = "weather"
version = "0.1.0"
description = "Says what to wear."
kind = "chat"
wasmlx = "0.1"

[requests]
model = ["qwen3-8b"]
tokens = 20000
"#;

/// A component with no manifest, and something inside.
fn component() -> Vec<u8> {
    wat::parse_str(
        r#"(component (core module (memory 1)) (component (core module)) (instance $i) (export "a" (instance $i)))"#,
    )
    .unwrap()
}

/// `component` with a section of this content, whatever it is.
fn with_section(content: &[u8]) -> Vec<u8> {
    section::put(&component(), content).unwrap()
}

fn error(result: Result<impl fmt::Debug, ComponentError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::InvalidManifest, "{error}");
    error.to_string()
}

#[test]
fn what_is_embedded_is_read() {
    assert_eq!(Manifest::read(&component()).unwrap(), None);
    let embedded = Manifest::embed(PLAIN, &component()).unwrap();
    let manifest = Manifest::read(&embedded).unwrap().unwrap();
    assert_eq!(manifest, Manifest::parse(PLAIN).unwrap());
    assert_eq!((manifest.name.as_str(), manifest.kind), ("weather", ComponentKind::Chat));
    let requests = Requests { model: vec!["qwen3-8b".into()], tokens: Some(20_000), ..Requests::default() };
    assert_eq!(manifest.requests, requests);
    // Nothing but the section was added, and the component is one still.
    let section = MANIFEST_SECTION.len() + PLAIN.len();
    assert!((component().len() + section..component().len() + section + 9).contains(&embedded.len()));
    wasmparser::Validator::new().validate_all(&embedded).unwrap();
}

#[test]
fn another_manifest_takes_the_place_of_the_first() {
    let other = PLAIN.replace("weather", "clothes");
    let once = Manifest::embed(&other, &component()).unwrap();
    let twice = Manifest::embed(&other, &Manifest::embed(PLAIN, &component()).unwrap()).unwrap();
    assert_eq!(once, twice);
}

#[test]
fn a_manifest_may_ask_for_nothing() {
    let manifest = Manifest::parse(PLAIN.split("[requests]").next().unwrap()).unwrap();
    assert!(manifest.requests.is_empty());
    let manifest = Manifest::parse("name='a'\nversion='1.2.3-beta.1+5'\nkind='policy'\nwasmlx='0.1.0'").unwrap();
    assert_eq!(manifest.description, "");
}

#[test]
fn what_is_wrong_is_said() {
    let with = |from: &str, to: &str| error(Manifest::parse(&PLAIN.replace(from, to)));
    for (from, to, expected) in [
        ("\"chat\"", "\"virus\"", "line 5: unknown variant `virus`"),
        ("tokens =", "token =", "line 10: unknown field `token`"),
        ("tokens = 20000", "tokens = -1", "line 10: invalid value"),
        ("wasmlx = \"0.1\"", "wasmlx = \"0.9\"", "it is for wasmlx 0.9; this host serves 0.1"),
        ("\"weather\"", "\"../weather\"", "`name` is made of"),
        ("\"0.1.0\"", "\"new\"", "`version` is three numbers"),
        ("[\"qwen3-8b\"]", "[\"\"]", "`model` has an empty entry"),
        ("model =", "http =", "`http` is asked for by a chat"),
        ("name = \"weather\"", "", "missing field `name`"),
        ("name =", "name = [", "line 3: "),
    ] {
        let error = with(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_hostile_text_is_refused_before_it_costs() {
    let long = |entries: usize| PLAIN.replace("\"qwen3-8b\"", &"\"a\",".repeat(entries));
    assert!(Manifest::parse(&long(ENTRIES)).is_ok());
    assert!(error(Manifest::parse(&long(ENTRIES + 1))).contains("`model` has 65 entries"));
    let large = format!("{PLAIN}#{}", "x".repeat(MANIFEST_BYTES));
    assert!(error(Manifest::parse(&large)).contains("65536 are allowed"));
    assert!(error(Manifest::read(&with_section(large.as_bytes()))).contains("65536 are allowed"));
    let deep = PLAIN.replace("20000", &format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000)));
    assert!(error(Manifest::parse(&deep)).contains("line 10"));
    // A terminal is told nothing: neither by a text, nor by the error that quotes one.
    let colours = PLAIN.replace("Says", "\\u001b[31mSays");
    assert!(error(Manifest::parse(&colours)).contains("control characters"));
    let backwards = PLAIN.replace("Says", "\\u202eSays");
    assert!(error(Manifest::parse(&backwards)).contains("control characters"));
    let quoted = error(Manifest::parse(&PLAIN.replace("tokens =", "\"\\u001b[31m\" =")));
    assert!(!quoted.contains('\u{1b}') && quoted.contains("\\u{1b}[31m"), "{quoted}");
}

#[test]
fn a_hostile_section_is_refused() {
    assert!(error(Manifest::read(&with_section(b"name = \"\xff\""))).contains("it is no text"));
    let mut twice = with_section(PLAIN.as_bytes());
    let section = twice[component().len()..].to_vec();
    twice.extend(section);
    assert!(error(Manifest::read(&twice)).contains("two custom sections"));
    for bytes in [&b"hello"[..], b"", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\x0f"] {
        error(Manifest::read(bytes));
        error(Manifest::embed(PLAIN, bytes));
    }
}

#[test]
fn what_lies_inside_is_not_the_components_own() {
    let inner = with_section(PLAIN.as_bytes());
    let mut outer = component()[..8].to_vec();
    outer.push(4);
    push(&mut outer, &inner);
    assert_eq!(Manifest::read(&outer).unwrap(), None);
}

/// A section's length and content.
fn push(bytes: &mut Vec<u8>, content: &[u8]) {
    let low = (content.len() & 0x7f) as u8 | 0x80;
    bytes.extend([low, u8::try_from(content.len() >> 7).unwrap()]);
    bytes.extend(content);
}

#[test]
fn a_manifest_says_what_the_world_is() {
    let embedded = Manifest::embed(PLAIN, &component()).unwrap();
    assert!(Manifest::of("weather", ComponentKind::Chat, &embedded).unwrap().is_some());
    let error = error(Manifest::of("weather", ComponentKind::Policy, &embedded));
    let expected =
        "component weather: the manifest (component.toml): it says that this is a chat; its world is that of";
    assert!(error.starts_with(expected), "{error}");
}

proptest! {
    #[test]
    fn no_text_and_no_bytes_break_the_reader(
        text in ".{0,200}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let _ = Manifest::parse(&text);
        let _ = Manifest::read(&bytes);
        let mut changed = with_section(PLAIN.as_bytes());
        for (place, value) in flips {
            let place = place.index(changed.len());
            changed[place] = value;
        }
        if let Ok(Some(manifest)) = Manifest::read(&changed) {
            prop_assert!(manifest.check().is_ok());
        }
    }
}
