//! Segments: a border changes no id, and nothing untrusted becomes a control token.

use crate::common::{Pair, at, config, cuts, from_files, qwen3, segments, shared, texts, trained};
use proptest::prelude::*;
use serde_json::Value;
use wasmlx_text::{Segment, TextErrorKind};

fn control(name: &str) -> Segment {
    Segment::Control(name.to_owned())
}

fn trusted(text: &str) -> Segment {
    Segment::Trusted(text.to_owned())
}

fn untrusted(text: &str) -> Segment {
    Segment::Untrusted(text.to_owned())
}

fn check_cut(pair: &Pair, text: &str, cuts: &[(usize, bool)]) {
    let cut = segments(text, cuts, &pair.markers(text));
    assert_eq!(pair.ours.encode(&cut).unwrap(), pair.plain_ids(text), "{}: {cut:?}", pair.name);
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn cuts_that_touch_no_marker_change_no_id(text in texts(), cuts in cuts()) {
        for pair in trained().iter().chain(from_files()) {
            check_cut(pair, &text, &at(&cuts, &text));
        }
    }

    #[test]
    fn untrusted_text_has_no_control_token(before in texts(), middle in texts(), after in texts()) {
        for pair in trained().iter().chain(from_files()) {
            let unknown = pair.ours.token_id("<unk>").or(pair.ours.token_id("[UNK]"));
            let prompt = [trusted(&before), untrusted(&middle), trusted(&after)];
            let joined = [before.as_str(), &middle, &after].concat();
            let inside = before.len()..before.len() + middle.len();
            for token in pair.ours.encode_with_offsets(&prompt).unwrap() {
                if !pair.is_marker(token.id) || Some(token.id) == unknown {
                    continue;
                }
                // The whitespace that a token takes along may be anyone's.
                let taken = &joined[token.bytes.clone()];
                let start = token.bytes.end - taken.trim_start().len();
                let end = token.bytes.start + taken.trim_end().len();
                prop_assert!(end <= inside.start || inside.end <= start, "{}: {:?} has {:?}", pair.name, prompt, token);
            }
        }
    }

    #[test]
    fn the_offsets_are_the_text(text in texts(), cuts in cuts()) {
        for pair in from_files() {
            let prompt = segments(&text, &at(&cuts, &text), &[]);
            let tokens = pair.ours.encode_with_offsets(&prompt).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            prop_assert_eq!(&ids, &pair.ours.encode(&prompt).unwrap());
            // Qwen3 composes a letter with the marks behind it, whose bytes are then no token's.
            let gaps = pair.name == "Qwen3";
            let mut covered = 0;
            for token in &tokens {
                prop_assert!(token.bytes.start <= covered || gaps, "{}: {tokens:?}", pair.name);
                prop_assert!(token.bytes.end >= covered, "{}: {tokens:?}", pair.name);
                covered = token.bytes.end;
            }
            prop_assert!(covered == text.len() || gaps, "{}: {tokens:?}", pair.name);
        }
    }

    #[test]
    fn what_follows_an_added_token_is_encoded_as_in_the_whole(
        text in texts(), cuts in cuts(), pick in any::<prop::sample::Index>()
    ) {
        for pair in trained().iter().chain(from_files()) {
            let cut = segments(&text, &at(&cuts, &text), &pair.markers(&text));
            let whole = pair.ours.encode_with_offsets(&cut).unwrap();
            let added: Vec<usize> = (0..whole.len()).filter(|&index| pair.is_marker(whole[index].id)).collect();
            if added.is_empty() {
                continue;
            }
            let index = added[pick.index(added.len())];
            let from = whole[index].bytes.end;
            let rest: Vec<u32> = whole[index + 1..].iter().map(|token| token.id).collect();
            prop_assert_eq!(pair.ours.encode_from(&cut, from).unwrap(), rest, "{}: {:?} from {}", pair.name, cut, from);
        }
    }

    #[test]
    fn a_word_in_the_middle_is_encoded_as_in_the_whole(text in "[a-z]{1,9}( [a-z]{1,9}){1,9}", pick in any::<prop::sample::Index>()) {
        for pair in trained().iter().chain(from_files()) {
            if ["BPE, Llama", "WordPiece", "BPE, word ends"].contains(&pair.name) {
                // The first merges across words, the others drop the spaces by which this test finds them.
                continue;
            }
            let prompt = [untrusted(&text)];
            let spaces: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
            let from = spaces[pick.index(spaces.len())];
            let whole = pair.ours.encode_with_offsets(&prompt).unwrap();
            let rest: Vec<u32> = whole.iter().filter(|token| token.bytes.start >= from).map(|token| token.id).collect();
            prop_assert_eq!(pair.ours.encode_from(&prompt, from).unwrap(), rest, "{}: {:?} from {}", pair.name, text, from);
        }
    }

    #[test]
    fn a_front_and_its_rest_are_the_whole(text in "[a-z]{1,9}( [a-z]{1,9}){0,9}", pick in any::<prop::sample::Index>()) {
        let from = pick.index(text.len() + 1);
        for pair in trained().iter().chain(from_files()) {
            if ["WordPiece", "BPE, word ends"].contains(&pair.name) {
                // Words cut in two are two words to them.
                continue;
            }
            let mut ids = pair.ours.encode_plain(&text[..from], false).unwrap();
            ids.extend(pair.ours.encode_from(&[untrusted(&text)], from).unwrap());
            prop_assert_eq!(&pair.ours.decode(&ids, false).unwrap(), &text, "{}: from {}", pair.name, from);
        }
    }

    #[test]
    fn a_rest_is_all_of_the_text_from_its_offset_on(text in texts(), pick in any::<prop::sample::Index>()) {
        let from = text.floor_char_boundary(pick.index(text.len() + 1));
        for pair in from_files() {
            // Qwen3 composes characters, so that not every text comes back as it was.
            if pair.ours.decode(&pair.plain_ids(&text), false).unwrap() != text {
                continue;
            }
            let rest = pair.ours.encode_from(&[untrusted(&text)], from).unwrap();
            prop_assert_eq!(&pair.ours.decode(&rest, false).unwrap(), &text[from..], "{}", pair.name);
        }
    }
}

#[test]
fn every_added_token_is_safe_from_being_typed() {
    for pair in from_files() {
        for token in pair.ours.added_tokens().iter().filter(|token| pair.is_marker(token.id)) {
            let marker = token.content.as_str();
            let expect_none = |prompt: &[Segment], forgeable: usize| {
                let ids = pair.ours.encode(prompt).unwrap();
                let count = ids.iter().filter(|id| pair.is_marker(**id)).count();
                assert_eq!(count, forgeable, "{}: {prompt:?}", pair.name);
                let text: String = prompt.iter().map(Segment::text).collect();
                assert_eq!(pair.ours.decode(&ids, false).unwrap(), text);
            };
            expect_none(&[untrusted(marker)], 0);
            expect_none(&[untrusted(&format!("hi{marker}{marker}user\n{marker}"))], 0);
            expect_none(&[control(marker), untrusted(marker), trusted(marker)], 2);
            for (cut, _) in marker.char_indices().skip(1) {
                let (left, right) = marker.split_at(cut);
                expect_none(&[trusted(left), untrusted(right)], 0);
                expect_none(&[untrusted(left), trusted(right)], 0);
                expect_none(&[untrusted(left), untrusted(right)], 0);
                expect_none(&[trusted(left), trusted(right)], 1);
                expect_none(&[trusted(left), untrusted(""), trusted(right)], 1);
                expect_none(&[untrusted(&marker[..cut]), control(marker), untrusted(right)], 1);
            }
        }
    }
}

#[test]
fn rendered_templates_have_the_ids_of_their_whole_text() {
    let Some(folder) = shared("chat-templates/cases") else { return };
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % below
    };
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut checked = 0;
    for file in files {
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let expected: Vec<&str> = cases.iter().filter_map(|case| case["expected"].as_str()).collect();
        if expected.is_empty() {
            continue;
        }
        for pair in trained().iter().chain(from_files()) {
            let text = expected[next(expected.len())];
            let text = &text[..text.floor_char_boundary(4000)];
            let cuts: Vec<(usize, bool)> = (0..next(40)).map(|_| (next(text.len() + 1), next(3) == 0)).collect();
            check_cut(pair, text, &cuts);
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn a_control_segment_is_its_token_wherever_it_stands() {
    for pair in trained() {
        for token in pair.ours.added_tokens().iter().filter(|token| pair.is_marker(token.id)) {
            // Beside words, where a single-word token would not match, and where a normalised form would not either.
            let ids = pair.ours.encode(&[untrusted("dog"), control(&token.content), untrusted("dog")]).unwrap();
            assert_eq!(ids.iter().filter(|id| **id == token.id).count(), 1, "{}: {}", pair.name, token.content);
        }
    }
}

#[test]
fn a_rest_from_within_a_control_segment_is_text() {
    for pair in from_files() {
        let prompt = [control("<|endoftext|>"), control("<|endoftext|>"), untrusted("x")];
        let ids = pair.ours.encode_from(&prompt, 5).unwrap();
        assert_eq!(pair.ours.decode(&ids, false).unwrap(), "oftext|><|endoftext|>x");
        assert_eq!(ids.iter().filter(|id| pair.is_marker(**id)).count(), 1, "{}: {ids:?}", pair.name);
    }
    // A single-word token is set only where it is named, not found.
    let pair = &trained()[2];
    let word = pair.ours.token_id("[word]").unwrap();
    let prompt = [control("[word]"), untrusted("dog"), control("[word]"), untrusted("dog")];
    let ids = pair.ours.encode_from(&prompt, 1).unwrap();
    assert_eq!(ids.iter().filter(|id| **id == word).count(), 1);
    assert_eq!(pair.ours.decode(&ids, false).unwrap(), "word]dog[word]dog");
}

#[test]
fn a_longer_token_that_is_not_trusted_gives_way_to_a_shorter_one() {
    for pair in trained() {
        let tool = pair.ours.token_id("<tool>").unwrap();
        let longer = pair.ours.token_id("<tool>x").unwrap();
        let ids = pair.ours.encode(&[trusted("<tool>"), untrusted("x")]).unwrap();
        assert!(ids.contains(&tool) && !ids.contains(&longer), "{}: {ids:?}", pair.name);
        assert_eq!(pair.ours.encode(&[trusted("<tool>"), trusted("x")]).unwrap(), [longer], "{}", pair.name);
    }
}

#[test]
fn a_control_segment_must_name_an_added_token() {
    let Some(pair) = qwen3() else { return };
    for name in ["<|no_such|>", "hello", "<|im_start|>user", ""] {
        let error = pair.ours.encode(&[control(name)]).unwrap_err();
        assert_eq!(error.kind(), TextErrorKind::UnknownControlToken, "{name}");
    }
}

#[test]
fn an_offset_inside_a_character_or_behind_the_text_is_an_error() {
    let pair = &trained()[0];
    for from in [1, 4, usize::MAX] {
        let error = pair.ours.encode_from(&[untrusted("日")], from).unwrap_err();
        assert_eq!(error.kind(), TextErrorKind::InvalidOffset);
    }
    assert_eq!(pair.ours.encode_from(&[untrusted("日")], 3).unwrap(), [0_u32; 0]);
    assert_eq!(pair.ours.encode(&[]).unwrap(), [0_u32; 0]);
}

#[test]
fn a_tokenizer_goes_to_any_thread() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<wasmlx_text::Tokenizer>();
    check::<wasmlx_text::Detokenizer>();
    check::<wasmlx_text::StopMatcher>();
}
