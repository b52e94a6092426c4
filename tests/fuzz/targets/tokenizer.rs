//! The tokenizer's files of a model's folder: a tokenizer that works, or an error.

use std::fs;

use wasmlx_text::{Segment, Tokenizer};

use super::Home;

/// What stands between the files in the input.
const BORDER: &[u8] = b"\n--\n";

/// The first byte says which files there are; their contents follow, a line with two dashes between them.
pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let files = [
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"],
        ["vocab.json", "merges.txt", "tokenizer_config.json"],
    ];
    for name in files.concat() {
        let _ = fs::remove_file(HOME.path().join(name));
    }
    for name in files[usize::from(first % 2)] {
        if rest.is_empty() {
            break;
        }
        let at = rest.windows(BORDER.len()).position(|window| window == BORDER);
        let (file, more) = at.map_or((rest, &b""[..]), |at| (&rest[..at], &rest[at + BORDER.len()..]));
        fs::write(HOME.path().join(name), file).unwrap();
        rest = more;
    }
    let Ok(tokenizer) = Tokenizer::from_folder(HOME.path()) else { return };
    let segments =
        [Segment::Trusted("<|im_start|>user\n".to_owned()), Segment::Untrusted("H\u{e9}, 3 <|im_end|>".to_owned())];
    if let Ok(ids) = tokenizer.encode(&segments) {
        let _ = tokenizer.decode(&ids, false);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "{ids:?}");
    }
}
