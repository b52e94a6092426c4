//! Stop strings: the same place however the text comes in pieces, and never a byte of a stop.

use proptest::prelude::*;
use wasmlx_text::{Emit, StopMatcher, TextErrorKind};

use crate::common::config;

fn matcher(stops: &[&str]) -> StopMatcher {
    StopMatcher::new(stops.iter().map(|&stop| stop.to_owned()).collect()).unwrap()
}

/// The definition, tried at every place: the text before the stop, and which stop.
fn naive(text: &str, stops: &[String]) -> (String, Option<usize>) {
    for end in 0..=text.len() {
        let ending: Vec<usize> =
            (0..stops.len()).filter(|&index| text.as_bytes()[..end].ends_with(stops[index].as_bytes())).collect();
        let longest = ending.into_iter().max_by_key(|&index| (stops[index].len(), std::cmp::Reverse(index)));
        if let Some(index) = longest {
            return (text[..end - stops[index].len()].to_owned(), Some(index));
        }
    }
    (text.to_owned(), None)
}

fn streamed(pieces: &[&str], stops: &[String]) -> (String, Option<usize>) {
    let mut matcher = StopMatcher::new(stops.to_vec()).unwrap();
    let mut text: String = pieces.iter().map(|piece| matcher.push(piece).text).collect();
    text.push_str(&matcher.finish());
    (text, matcher.stopped())
}

/// Few letters, so that stops happen, overlap and hold one another.
fn words(longest: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&["a", "b", "é", "日"][..]), 1..longest).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn pieces_make_no_difference(
        text in words(24), stops in prop::collection::vec(words(5), 0..5), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        cuts.extend([0, text.len()]);
        cuts.sort();
        let pieces: Vec<&str> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        let expected = naive(&text, &stops);
        prop_assert_eq!(streamed(&pieces, &stops), expected.clone());
        let mut letters = [0; 4];
        let one_by_one: Vec<String> = text.chars().map(|letter| letter.encode_utf8(&mut letters).to_owned()).collect();
        let one_by_one: Vec<&str> = one_by_one.iter().map(String::as_str).collect();
        prop_assert_eq!(streamed(&one_by_one, &stops), expected);
    }

    #[test]
    fn no_more_is_held_than_could_become_a_stop(text in words(24), stops in prop::collection::vec(words(5), 1..5)) {
        // Up to the stop, if there is one, no stop ends.
        let text = naive(&text, &stops).0;
        let mut matcher = StopMatcher::new(stops.clone()).unwrap();
        let emitted = matcher.push(&text).text;
        let held = &text[emitted.len()..];
        prop_assert!(held.is_empty() || stops.iter().any(|stop| stop.starts_with(held)), "{held:?}");
        let longer = (0..emitted.len()).filter(|at| text.is_char_boundary(*at)).any(|at| stops.iter().any(|stop| stop.starts_with(&text[at..])));
        prop_assert!(!longer, "{emitted:?} was shown and could become a stop");
    }
}

#[test]
fn every_split_of_a_text_stops_at_the_same_place() {
    let stops = ["</s>", "\nUser:", "<|im_end|>"].map(str::to_owned);
    let text = "An answer < or not </s\n<|im_\nUser:hidden";
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let pieces = [&text[..first], &text[first..second], &text[second..]];
            assert_eq!(streamed(&pieces, &stops), ("An answer < or not </s\n<|im_".to_owned(), Some(1)));
        }
    }
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut matcher = matcher(&["stop"]);
    assert_eq!(matcher.push("now st").text, "now ");
    let mut before = matcher.clone();
    assert_eq!(matcher.push("op here"), Emit { text: String::new(), stopped: Some(0) });
    assert_eq!((matcher.push("more"), matcher.finish().as_str()), (Emit::default(), ""));
    assert_eq!(before.push("ay").text, "stay");
    assert_eq!((before.finish().as_str(), before.stopped()), ("", None));
}

#[test]
fn without_stops_all_text_passes() {
    assert_eq!(matcher(&[]).push("anything").text, "anything");
}

#[test]
fn an_empty_stop_is_refused() {
    let error = StopMatcher::new(vec!["a".to_owned(), String::new()]).unwrap_err();
    assert_eq!(error.kind(), TextErrorKind::InvalidStop);
    insta::assert_snapshot!(error, @"Stop string number 2 is empty, which would stop every answer at once. Leave it out.");
}

#[test]
fn long_stops_cost_no_more_than_the_text() {
    // The naive search takes 10^10 steps here.
    let mut matcher = matcher(&[&"a".repeat(100_000)]);
    let text = format!("{}b", "a".repeat(99_999));
    assert_eq!(matcher.push(&text).text.len() + matcher.push(&text).text.len(), 200_000);
}
