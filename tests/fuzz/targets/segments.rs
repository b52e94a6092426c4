//! A template's segments. Whatever they are, no byte of untrusted text is part of a control token.

use std::sync::LazyLock;

use wasmlx_backend::fake::tokenizer_json;
use wasmlx_text::{Segment, Tokenizer};

use super::Bytes;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::from_bytes(tokenizer_json().as_bytes()).unwrap());

/// The first id of an added token: those before are bytes.
const FIRST_ADDED: u32 = 256;

/// Each segment: a byte for its kind, one for its length, its text.
pub(super) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let (mut segments, mut untrusted, mut length) = (Vec::new(), Vec::new(), 0);
    while !bytes.0.is_empty() {
        let kind = bytes.next();
        let (text, rest) =
            bytes.0.split_at((1 + usize::from(bytes.0.first().copied().unwrap_or(0))).min(bytes.0.len()));
        bytes.0 = rest;
        let text = String::from_utf8_lossy(text.get(1..).unwrap_or_default()).into_owned();
        let range = length..length + text.len();
        length = range.end;
        segments.push(match kind % 3 {
            0 => Segment::Control(text),
            1 => Segment::Trusted(text),
            _ => {
                untrusted.push(range);
                Segment::Untrusted(text)
            }
        });
    }
    let Ok(tokens) = TOKENIZER.encode_with_offsets(&segments) else { return };
    let touches = |bytes: &std::ops::Range<usize>| {
        untrusted.iter().any(|range| range.start.max(bytes.start) < range.end.min(bytes.end))
    };
    for token in &tokens {
        assert!(token.id < FIRST_ADDED || !touches(&token.bytes), "{token:?} of {segments:?}");
    }
    assert_eq!(TOKENIZER.encode(&segments).unwrap(), tokens.iter().map(|token| token.id).collect::<Vec<_>>());
}
