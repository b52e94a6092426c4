//! Folders as models come: complete, old, torn, hostile.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use wasmlx_text::{Segment, TextErrorKind, Tokenizer};

use crate::common::{config, llama, phi2, qwen3, unigram, unpacked};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// The error of loading a folder with these files, its own path left out.
fn error_of(files: &[(&str, &str)]) -> (TextErrorKind, String) {
    let folder = folder(files);
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    (error.kind(), error.to_string().replace(&format!("{}", folder.path().display()), "MODEL"))
}

const SMALL: &str =
    r#"{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": ["a b"]}}"#;

#[test]
fn what_is_missing_or_torn_is_named() {
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("vocab.json", "{}")],
        &[("tokenizer.model", "")],
        &[("tokenizer.json", &SMALL[..60])],
        &[("tokenizer.json", "")],
        &[("tokenizer.json", "[]")],
        &[("tokenizer.json", r#"{"version": "2.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "Diffusion", "vocab": {}}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": [["a", 0.5]], "merges": []}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b c"]}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "a"]]}}"#)],
        &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {"a": 0, "aaa": 1}, "merges": [["a", "a"]]}}"#)],
        &[(
            "tokenizer.json",
            r#"{"model": {"type": "BPE", "vocab": {"é": 0}, "merges": [["é", "é"]], "continuing_subword_prefix": "x"}}"#,
        )],
        &[("tokenizer.json", r#"{"model": {"type": "Unigram", "vocab": [["a", 0.5]], "unk_id": 7}}"#)],
        &[(
            "tokenizer.json",
            r#"{"decoder": {"type": "Nonsense"}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#,
        )],
        &[(
            "tokenizer.json",
            r#"{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#,
        )],
        &[("tokenizer.json", SMALL), ("tokenizer_config.json", r#"{"bos_token": 7}"#)],
        &[("tokenizer.json", SMALL), ("tokenizer_config.json", r#"{"chat_template": 7}"#)],
        &[
            ("tokenizer.json", SMALL),
            ("tokenizer_config.json", r#"{"added_tokens_decoder": {"x": {"content": "<x>"}}}"#),
        ],
        &[
            ("tokenizer.json", SMALL),
            ("tokenizer_config.json", r#"{"added_tokens_decoder": {"9": {"content": "<x>"}}}"#),
        ],
        &[("tokenizer.json", SMALL), ("special_tokens_map.json", "{")],
        &[("vocab.json", r#"{"a": 0}"#), ("merges.txt", "")],
        &[
            ("vocab.json", r#"{"a": 0}"#),
            ("merges.txt", ""),
            ("tokenizer_config.json", r#"{"tokenizer_class": "XyzTokenizer"}"#),
        ],
        &[
            ("vocab.json", r#"{"a": 0}"#),
            ("merges.txt", "#version: 0.2\na b"),
            ("config.json", r#"{"model_type": "gpt2"}"#),
        ],
        &[
            ("vocab.json", r#"{"a": 0}"#),
            ("merges.txt", "#version: 0.2\na\n"),
            ("config.json", r#"{"model_type": "gpt2"}"#),
        ],
        &[("vocab.json", r#"[["a", 0]]"#), ("merges.txt", ""), ("config.json", r#"{"model_type": "gpt2"}"#)],
    ];
    let messages: Vec<String> =
        cases.iter().map(|files| error_of(files)).map(|(kind, text)| format!("{kind:?}: {text}")).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn what_is_no_text_or_no_file_is_named() {
    let folder = folder(&[("tokenizer.json", SMALL)]);
    fs::write(folder.path().join("chat_template.jinja"), [0xFF, 0xFE]).unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert_eq!(error.kind(), TextErrorKind::FileInvalid);
    assert!(error.to_string().contains("chat_template.jinja"), "{error}");

    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    fs::create_dir(folder.path().join("tokenizer.json")).unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert_eq!(error.kind(), TextErrorKind::FileMissing);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_file_larger_than_any_tokenizer_is_not_read() {
    let folder = folder(&[]);
    let file = fs::File::create(folder.path().join("tokenizer.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert_eq!(error.kind(), TextErrorKind::FileTooLarge);
}

#[test]
fn a_token_longer_than_any_in_use_is_refused() {
    // A Unigram model is a tree one level a byte, which is dropped by recursion.
    let of_length = |length: usize| {
        let file =
            json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", -1.0], ["a".repeat(length), -1.0]]}});
        Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap())
    };
    let longest = of_length(2048).unwrap();
    assert_eq!(longest.encode_plain(&"a".repeat(2048), false).unwrap(), [1]);
    drop(longest);
    assert_eq!(of_length(1 << 20).unwrap_err().kind(), TextErrorKind::FileInvalid);
}

#[test]
fn a_file_that_would_take_all_memory_is_refused() {
    let tenfold = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(10)});
    let twelve = vec![tenfold; 12];
    let model = json!({"type": "BPE", "vocab": {"b": 0}, "merges": []});
    let token = |id: usize, content: String| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": true, "special": false})
    };
    let numbered: Vec<Value> = (1..3000).map(|id| token(id, format!("<{id}>{}", "-".repeat(2000)))).collect();
    let scored: Vec<Value> = (0..5000).map(|id| json!([format!("{id}{}", "-".repeat(2000)), -1.0])).collect();
    let files = [
        json!({"model": model, "added_tokens": [token(1, "a".to_owned())],
            "normalizer": {"type": "Sequence", "normalizers": twelve}}),
        json!({"model": model, "decoder": {"type": "Sequence", "decoders": twelve}}),
        json!({"model": model, "added_tokens": [token(1, "a".repeat(4000))]}),
        json!({"model": model, "added_tokens": numbered}),
        json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": scored}}),
    ];
    let messages = files.map(|file| {
        let error = Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap_err();
        format!("{:?}: {error}", error.kind())
    });
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn added_tokens_have_the_ids_that_are_written() {
    let file = |first: u32, second: u32, third: u32| {
        let token = |id: u32, content: &str| json!({"id": id, "content": content, "special": true});
        let file = json!({"model": {"type": "BPE", "vocab": {"a": 0, "<s>": 1}, "merges": []},
            "added_tokens": [token(first, "<s>"), token(second, "<x>"), token(third, "<y>")]});
        Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap())
    };
    let ids = |tokenizer: &Tokenizer| ["<s>", "<x>", "<y>"].map(|name| tokenizer.token_id(name).unwrap());
    assert_eq!(ids(&file(1, 2, 3).unwrap()), [1, 2, 3]);
    // The vocabulary's own id counts, as in the tokenizers crate.
    assert_eq!(ids(&file(7, 2, 3).unwrap()), [1, 2, 3]);
    let gap = file(1, 2, 4).unwrap_err();
    assert_eq!(gap.kind(), TextErrorKind::FileInvalid);
    assert!(gap.to_string().contains(r#""<y>" the id 4, where 3 is next"#), "{gap}");
}

/// Rebuilds a model's `vocab.json` and `merges.txt` from its `tokenizer.json`.
fn as_old_files(from: &Path, to: &Path) {
    let file: Value = serde_json::from_slice(&fs::read(from.join("tokenizer.json")).unwrap()).unwrap();
    fs::write(to.join("vocab.json"), file["model"]["vocab"].to_string()).unwrap();
    let mut merges = "#version: 0.2\n".to_owned();
    for merge in file["model"]["merges"].as_array().unwrap() {
        match merge {
            Value::String(line) => merges.push_str(line),
            pair => merges.push_str(&format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())),
        }
        merges.push('\n');
    }
    fs::write(to.join("merges.txt"), merges).unwrap();
}

#[test]
fn vocab_and_merges_give_what_tokenizer_json_gives() {
    let texts = [
        "Hello, world! It's 12345 Zürich\n\n  naïve e\u{301} 日本語 👋🏽",
        "<|im_start|>user\nhi<|im_end|>\n<think>",
        "",
    ];
    for (name, pair) in [("Qwen3", qwen3()), ("phi-2", phi2())] {
        let Some(pair) = pair else { return };
        let source = unpacked().unwrap().join("tokenizers").join(name);
        let folder = folder(&[]);
        as_old_files(&source, folder.path());
        fs::copy(source.join("tokenizer_config.json"), folder.path().join("tokenizer_config.json")).unwrap();
        let old = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(old.added_tokens(), pair.ours.added_tokens(), "{name}");
        for text in texts {
            let ids = old.encode_plain(text, false).unwrap();
            assert_eq!(ids, pair.plain_ids(text), "{name}: {text:?}");
            assert_eq!(old.decode(&ids, false).unwrap(), pair.ours.decode(&ids, false).unwrap());
        }
    }
}

#[test]
fn added_tokens_of_old_files_are_special_where_they_are_named() {
    let folder = folder(&[
        ("vocab.json", r#"{"a": 0, "b": 1, "ab": 2}"#),
        ("merges.txt", "#version: 0.2\na b\n"),
        ("added_tokens.json", r#"{"<end>": 4, "<think>": 3}"#),
        ("special_tokens_map.json", r#"{"eos_token": {"content": "<end>", "lstrip": false}}"#),
        ("config.json", r#"{"model_type": "qwen2"}"#),
    ]);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.encode_plain("ab<think>b<end>", false).unwrap(), [2, 3, 1, 4]);
    assert_eq!(tokenizer.decode(&[2, 3, 1, 4], true).unwrap(), "ab<think>b");
    assert_eq!((tokenizer.special().eos.as_deref(), tokenizer.vocab_size()), (Some("<end>"), 5));
}

#[test]
fn a_named_token_of_the_vocabulary_is_an_added_token() {
    let folder = folder(&[
        ("tokenizer.json", SMALL),
        ("tokenizer_config.json", r#"{"bos_token": "<s>", "eos_token": "<gone>"}"#),
    ]);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let control =
        |name: &str| tokenizer.encode(&[Segment::Control(name.to_owned()), Segment::Untrusted("ab".to_owned())]);
    assert_eq!(control("<s>").unwrap(), [3, 2]);
    assert!(tokenizer.is_special(3));
    // A name without an id is no token: the model has no row for it.
    assert_eq!(control("<gone>").unwrap_err().kind(), TextErrorKind::UnknownControlToken);
}

#[test]
fn chat_templates_are_found_where_models_keep_them() {
    let chosen = |files: &[(&str, &str)], with_tools: bool| {
        let folder = folder(&[files, &[("tokenizer.json", SMALL)]].concat());
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        tokenizer.chat_templates().choose(with_tools).map(str::to_owned)
    };
    let config = ("tokenizer_config.json", r#"{"chat_template": "of the configuration"}"#);
    let named = (
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"}]}"#,
    );
    let file = ("chat_template.jinja", "of the file");
    let json = ("chat_template.json", r#"{"chat_template": "of the JSON file"}"#);
    let more = ("additional_chat_templates/tool_use.jinja", "of the folder");
    assert_eq!(chosen(&[], false), None);
    assert_eq!(chosen(&[config], true).as_deref(), Some("of the configuration"));
    assert_eq!(chosen(&[named], false).as_deref(), Some("plain"));
    assert_eq!(chosen(&[named], true).as_deref(), Some("with tools"));
    assert_eq!(chosen(&[config, json], false).as_deref(), Some("of the JSON file"));
    assert_eq!(chosen(&[config, json, file], false).as_deref(), Some("of the file"));
    assert_eq!(chosen(&[config, file, more], true).as_deref(), Some("of the folder"));
    assert_eq!(chosen(&[config, file, more], false).as_deref(), Some("of the file"));
}

#[test]
fn a_plain_text_begins_with_one_bos() {
    let post_processor = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}});
    let mut with_bos: Value = serde_json::from_str(SMALL).unwrap();
    with_bos["post_processor"] = post_processor;
    let load = |tokenizer: &str, config: &str| {
        let folder = folder(&[("tokenizer.json", tokenizer), ("tokenizer_config.json", config)]);
        Tokenizer::from_folder(folder.path()).unwrap()
    };
    let named = r#"{"bos_token": "<s>"}"#;
    let wanted = r#"{"bos_token": "<s>", "add_bos_token": true}"#;
    for tokenizer in [load(&with_bos.to_string(), named), load(&with_bos.to_string(), wanted), load(SMALL, wanted)] {
        assert_eq!(tokenizer.encode_plain("ab", true).unwrap(), [3, 2]);
        assert_eq!(tokenizer.encode_plain("<s>ab", true).unwrap(), [3, 2]);
        assert_eq!(tokenizer.encode_plain("ab", false).unwrap(), [2]);
        assert_eq!(tokenizer.encode(&[Segment::Trusted("ab".to_owned())]).unwrap(), [2]);
    }
    assert_eq!(load(SMALL, named).encode_plain("ab", true).unwrap(), [2]);
}

proptest! {
    #![proptest_config(config(3000))]

    /// What a fuzzer would do: a tokenizer with some of its bytes changed loads or is refused, and if it loads it
    /// encodes and decodes or says that it cannot.
    #[test]
    fn changed_bytes_are_refused_or_harmless(
        of_pairs in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:0-9e"[..])]), 1..4)
    ) {
        static FILES: std::sync::LazyLock<[Vec<u8>; 2]> =
            std::sync::LazyLock::new(|| [llama(), unigram(tokenizers::pre_tokenizers::metaspace::PrependScheme::First, true)]);
        let mut bytes = FILES[usize::from(of_pairs)].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            let prompt = [Segment::Untrusted("the dog<s>".to_owned()), Segment::Trusted("<|user|> 日".to_owned())];
            if let Ok(ids) = tokenizer.encode(&prompt) {
                let _text = tokenizer.decode(&ids, true);
            }
        }
    }
}
