//! Models whose own vocabulary spells a control token: matching is not the only way to its id.

use serde_json::{Value, json};
use wasmlx_text::{Segment, Tokenizer};

const MARKER: &str = "<|end|>";

/// Loads a model with one special token, which its own vocabulary holds too.
fn tokenizer(model: Value, pre_tokenizer: Value) -> Tokenizer {
    let file = json!({
        "version": "1.0",
        "added_tokens": [{"id": 1, "content": MARKER, "special": true, "normalized": false}],
        "pre_tokenizer": pre_tokenizer,
        "model": model,
    });
    let tokenizer = Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert_eq!(tokenizer.token_id(MARKER), Some(1));
    tokenizer
}

const CHARACTERS: [&str; 8] = ["<", "|", "e", "n", "d", ">", "a", "x"];

fn numbered(more: &[&str]) -> Value {
    let all = ["<unk>", MARKER].into_iter().chain(CHARACTERS).chain(more.iter().copied());
    Value::Object(all.enumerate().map(|(id, token)| (token.to_owned(), json!(id))).collect())
}

/// Byte pairs that merge all the way to the marker.
fn merging() -> Tokenizer {
    let merges = ["< |", "e n", "en d", "| >", "<| end", "<|end |>"];
    tokenizer(
        json!({"type": "BPE", "vocab": numbered(&["<|", "en", "end", "|>", "<|end"]), "merges": merges}),
        Value::Null,
    )
}

/// Byte pairs that look a whole word up before merging anything.
fn ignoring_merges() -> Tokenizer {
    let model = json!({"type": "BPE", "vocab": numbered(&["en"]), "merges": [["e", "n"]], "ignore_merges": true});
    tokenizer(model, json!({"type": "WhitespaceSplit"}))
}

/// The most likely pieces, of which the marker is the likeliest.
fn unigram() -> Tokenizer {
    let pieces = [("<unk>", -20.0), (MARKER, -0.1)];
    let letters = CHARACTERS.map(|letter| (letter, -5.0));
    let vocab: Vec<_> = pieces.into_iter().chain(letters).chain([("<|", -3.0), ("end", -3.0)]).collect();
    tokenizer(json!({"type": "Unigram", "unk_id": 0, "vocab": vocab}), Value::Null)
}

fn word_piece() -> Tokenizer {
    let parts: Vec<String> = CHARACTERS.iter().map(|letter| format!("##{letter}")).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let model = json!({"type": "WordPiece", "vocab": numbered(&parts), "unk_token": "<unk>",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100});
    tokenizer(model, json!({"type": "WhitespaceSplit"}))
}

#[test]
fn a_model_cannot_be_made_to_spell_a_control_token() {
    for (name, tokenizer) in [
        ("merging", merging()),
        ("ignoring merges", ignoring_merges()),
        ("unigram", unigram()),
        ("words", word_piece()),
    ] {
        for (text, ends) in [(MARKER, ""), ("a<|end|>", ""), ("<|end|><|end|>x", ""), ("<|end", "|>"), ("<", "|end|>")]
        {
            let untrusted = |text: &str| Segment::Untrusted(text.to_owned());
            let ids = tokenizer.encode(&[untrusted(text), untrusted(ends)]).unwrap();
            assert!(!ids.contains(&1), "{name}: {text:?}{ends:?} became {ids:?}");
            let spelled: String = ids.iter().map(|id| tokenizer.token_text(*id).unwrap().replace("##", "")).collect();
            assert_eq!(spelled, [text, ends].concat(), "{name}");
            let mixed = tokenizer.encode(&[Segment::Trusted(text.to_owned()), untrusted("|end|>")]).unwrap();
            let trusted = text.matches(MARKER).count();
            assert_eq!(mixed.iter().filter(|id| **id == 1).count(), trusted, "{name}: {text:?}");
        }
    }
}

#[test]
fn the_token_for_the_unknown_stands_for_it_but_is_not_spelled() {
    let file = json!({
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false}],
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [
            ["<unk>", -0.1], ["<", -5.0], ["u", -5.0], ["n", -5.0], ["k", -5.0], [">", -5.0]]},
    });
    let bytes = serde_json::to_vec(&file).unwrap();
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    let encode = |text: &str| tokenizer.encode(&[Segment::Untrusted(text.to_owned())]).unwrap();
    assert_eq!(encode("日本"), [0], "a run of unknown characters is one token, as in the tokenizers crate");
    assert_eq!(encode("<unk>"), [1, 2, 3, 4, 5]);
    assert_eq!(tokenizer.encode(&[Segment::Trusted("<unk>".to_owned())]).unwrap(), [0]);
}

#[test]
fn a_single_character_is_spelled_as_the_model_spells_it() {
    // Some models pad with a character of their own alphabet. There is no other way to write it.
    let file = json!({
        "added_tokens": [{"id": 0, "content": "!", "special": true, "normalized": false}],
        "model": {"type": "BPE", "vocab": {"!": 0, "a": 1}, "merges": []},
    });
    let tokenizer = Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert_eq!(tokenizer.encode(&[Segment::Untrusted("a!".to_owned())]).unwrap(), [1, 0]);
}
