//! Text as it streams: the same as decoded whole, never taken back, never half a character.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use wasmlx_text::{Detokenizer, Tokenizer};

use crate::common::{Pair, config, from_files, llama, qwen3, texts, trained, word_piece};

/// Changes the decoder of a tokenizer.
fn with_decoder(name: &'static str, tokenizer: &[u8], decoder: Value) -> Pair {
    let mut value: Value = serde_json::from_slice(tokenizer).unwrap();
    value["decoder"] = decoder;
    Pair::new(name, &serde_json::to_vec(&value).unwrap())
}

/// A token a byte, which a chain of decoders makes text of.
fn bytes_within() -> Pair {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort();
    let vocab: serde_json::Map<String, Value> =
        alphabet.iter().enumerate().map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let file = json!({"model": {"type": "BPE", "vocab": vocab, "merges": []}, "pre_tokenizer": bytes,
        "decoder": {"type": "Sequence", "decoders": [bytes, {"type": "Fuse"}]}});
    Pair::new("bytes within", &serde_json::to_vec(&file).unwrap())
}

#[test]
fn what_a_decoder_changes_afterwards_is_shown_all_the_same() {
    let file = json!({"model": {"type": "WordLevel", "vocab": {"so": 0, " ": 1, ".": 2, "x": 3}, "unk_token": "x"},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Fuse"}, {"type": "Replace", "pattern": {"String": " ."}, "content": "."}]}});
    let tokenizer = Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap();
    let mut detokenizer = Detokenizer::new(&tokenizer, false);
    let pushed: Vec<String> = [0, 1, 2, 0].into_iter().map(|id| detokenizer.push(id).unwrap().to_owned()).collect();
    assert_eq!(pushed, ["so", " ", ".", "so"]);
    assert_eq!(tokenizer.decode(&[0, 1, 2, 0], false).unwrap(), "so.so");
}

/// Tokenizers with decoders that no other test has.
fn other_decoders() -> &'static [Pair] {
    static PAIRS: std::sync::OnceLock<Vec<Pair>> = std::sync::OnceLock::new();
    PAIRS.get_or_init(|| {
        let spaces = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
        let strip = |start, stop| json!({"type": "Strip", "content": " ", "start": start, "stop": stop});
        let stripping =
            |start, stop| json!({"type": "Sequence", "decoders": [spaces, {"type": "Fuse"}, strip(start, stop)]});
        vec![
            with_decoder("no decoder", &llama(), json!(null)),
            with_decoder("strips the beginning", &llama(), stripping(3, 0)),
            with_decoder("strips the end", &llama(), stripping(0, 1)),
            with_decoder("no clean-up", &word_piece(), json!({"type": "WordPiece", "prefix": "##", "cleanup": false})),
            bytes_within(),
        ]
    })
}

fn all() -> impl Iterator<Item = &'static Pair> {
    trained().iter().chain(other_decoders()).chain(from_files())
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut stream = Detokenizer::new(tokenizer, skip_special);
    let mut text = String::new();
    for id in ids {
        text.push_str(stream.push(*id).unwrap());
    }
    text.push_str(stream.finish().unwrap());
    assert_eq!(stream.text(), text);
    assert_eq!(stream.finish().unwrap(), "");
    text
}

/// Ids as a model may choose them: of texts, and any at all.
fn ids(pair: &Pair, text: &str, random: &[u32]) -> Vec<u32> {
    let size = u32::try_from(pair.ours.vocab_size()).unwrap();
    // A small part of the ids, so that bytes and special tokens meet; the trained tokenizers have theirs at the end.
    let near = |id: u32| if id.is_multiple_of(3) { size.saturating_sub(1 + id % 300) } else { id % (size + 3) };
    let mut ids: Vec<u32> = random.iter().map(|id| near(*id)).collect();
    let middle = ids.len() / 2;
    ids.splice(middle..middle, pair.plain_ids(text));
    ids
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn the_pieces_are_the_whole(text in texts(), random in prop::collection::vec(any::<u32>(), 0..24)) {
        for pair in all() {
            let ids = ids(pair, &text, &random);
            for skip_special in [false, true] {
                let whole = pair.plain_decode(&ids, skip_special);
                prop_assert_eq!(&pair.ours.decode(&ids, skip_special).unwrap(), &whole, "{}: {:?}", pair.name, ids);
                prop_assert_eq!(streamed(&pair.ours, &ids, skip_special), whole, "{}: {:?}", pair.name, ids);
            }
        }
    }

    #[test]
    fn no_character_is_shown_in_half(text in texts()) {
        for pair in all() {
            let ids = pair.plain_ids(&text);
            let whole = pair.ours.decode(&ids, false).unwrap();
            prop_assume!(!whole.contains('\u{FFFD}'));
            let mut stream = Detokenizer::new(&pair.ours, false);
            for id in &ids {
                stream.push(*id).unwrap();
                prop_assert!(whole.starts_with(stream.text()), "{}: {:?} of {whole:?}", pair.name, stream.text());
            }
        }
    }

    #[test]
    fn going_back_is_as_never_having_gone(
        text in texts(), random in prop::collection::vec(any::<u32>(), 1..24), back in any::<prop::sample::Index>(), ended in any::<bool>()
    ) {
        for pair in all() {
            let ids = ids(pair, &text, &random);
            let keep = back.index(ids.len() + 1);
            let mut stream = Detokenizer::new(&pair.ours, true);
            ids.iter().for_each(|id| { stream.push(*id).unwrap(); });
            let kept_text = stream.text_of(keep).to_owned();
            if ended {
                stream.finish().unwrap();
            }
            stream.truncate(keep).unwrap();
            let mut fresh = Detokenizer::new(&pair.ours, true);
            ids[..keep].iter().for_each(|id| { fresh.push(*id).unwrap(); });
            prop_assert_eq!(&kept_text, fresh.text(), "{}", pair.name);
            prop_assert_eq!((stream.text(), stream.len()), (fresh.text(), keep), "{}", pair.name);
            for id in ids.iter().rev() {
                let (after, expected) = (stream.push(*id).unwrap(), fresh.push(*id).unwrap());
                prop_assert_eq!(after, expected, "{}", pair.name);
            }
            prop_assert_eq!(stream.finish().unwrap(), fresh.finish().unwrap(), "{}", pair.name);
        }
    }

    #[test]
    fn text_that_goes_on_keeps_its_space(before in "[a-z]{1,6}( [a-z]{1,6}){0,12}", word in "[a-z]{1,6}") {
        for pair in trained().iter().chain(from_files()) {
            if ["WordPiece", "BPE, word ends"].contains(&pair.name) {
                // Their pieces have the space between them, not within.
                continue;
            }
            let prompt = pair.ours.encode_plain(&before, false).unwrap();
            let whole = pair.ours.encode_plain(&format!("{before} {word}"), false).unwrap();
            if !whole.starts_with(&prompt) {
                continue;
            }
            let mut stream = Detokenizer::following(&pair.ours, true, &prompt).unwrap();
            whole[prompt.len()..].iter().for_each(|id| { stream.push(*id).unwrap(); });
            stream.finish().unwrap();
            let unknown = whole.iter().any(|id| Some(*id) == pair.ours.token_id("<unk>"));
            if !unknown {
                prop_assert_eq!(stream.text(), format!(" {word}"), "{}", pair.name);
            }
        }
    }
}

#[test]
fn a_character_of_several_tokens_is_shown_when_it_is_whole() {
    let pair = trained().iter().find(|pair| pair.name == "BPE, Llama").unwrap();
    let byte = |byte: u8| pair.ours.token_id(&format!("<0x{byte:02X}>")).unwrap();
    let mut stream = Detokenizer::new(&pair.ours, true);
    for part in "日".bytes() {
        assert_eq!(stream.push(byte(part)).unwrap(), "");
    }
    let the = pair.ours.token_id("▁the").unwrap();
    assert_eq!(stream.push(the).unwrap(), "日 the");
    assert_eq!(stream.push(byte(0xFF)).unwrap(), "");
    assert_eq!(stream.finish().unwrap(), "\u{FFFD}");
    stream.truncate(4).unwrap();
    assert_eq!(stream.text(), "日 the");

    let Some(qwen) = qwen3() else { return };
    let ids = qwen.plain_ids("𓂀");
    assert!(ids.len() > 1);
    let mut stream = Detokenizer::new(&qwen.ours, true);
    let shown: Vec<String> = ids.iter().map(|id| stream.push(*id).unwrap().to_owned()).collect();
    assert_eq!(shown.concat(), "𓂀");
    assert!(shown[..ids.len() - 1].iter().all(String::is_empty), "{shown:?}");
}

#[test]
fn only_the_beginning_is_stripped_and_all_of_it() {
    let pair = other_decoders().iter().find(|pair| pair.name == "strips the beginning").unwrap();
    let space = pair.ours.token_id("▁").unwrap();
    let mut stream = Detokenizer::new(&pair.ours, true);
    let shown: Vec<String> = (0..6).map(|_| stream.push(space).unwrap().to_owned()).collect();
    assert_eq!(shown, ["", "", "", " ", " ", " "]);
}

#[test]
fn special_tokens_are_hidden_and_other_added_ones_are_not() {
    let Some(qwen) = qwen3() else { return };
    let ids = qwen.plain_ids("<|im_start|><think>so</think><tool_call><|im_end|>");
    assert_eq!(streamed(&qwen.ours, &ids, true), "<think>so</think><tool_call>");
    assert_eq!(streamed(&qwen.ours, &ids, false), "<|im_start|><think>so</think><tool_call><|im_end|>");
}

#[test]
fn a_decoder_that_panics_is_an_error() {
    // It cuts the last character off a token that has none, and so cuts behind the end.
    let model = json!({"type": "BPE", "vocab": {"a": 0, "": 1}, "merges": []});
    let decoder = json!({"type": "Strip", "content": "a", "start": 0, "stop": 1});
    let tokenizer =
        Tokenizer::from_bytes(&serde_json::to_vec(&json!({"model": model, "decoder": decoder})).unwrap()).unwrap();
    let error = tokenizer.decode(&[1], false).unwrap_err();
    assert_eq!(error.kind(), wasmlx_text::TextErrorKind::TokenizerFailed);
}
