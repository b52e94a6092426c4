//! GPT-2's byte alphabet: every byte written as one printable character.
//!
//! From `bytes_to_unicode` in GPT-2's published encoder: printable Latin-1 bytes stand for themselves, the other 68
//! take the characters from U+0100 on, in order.

/// One more than the last character of the alphabet, U+0143.
const ALPHABET_END: usize = 256 + 68;

/// For each character below [`ALPHABET_END`], the byte it stands for.
const BYTES: [Option<u8>; ALPHABET_END] = {
    let mut table = [None; ALPHABET_END];
    let mut byte = 0;
    let mut next = 256;
    while byte < 256 {
        let stands_for_itself = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        if stands_for_itself {
            table[byte] = Some(byte as u8);
        } else {
            table[next] = Some(byte as u8);
            next += 1;
        }
        byte += 1;
    }
    table
};

/// The bytes a token stands for. A token with a character outside the alphabet stands for its own UTF-8, as the
/// tokenizers crate has it.
pub(crate) fn bytes_of(token: &str) -> Vec<u8> {
    token
        .chars()
        .map(|character| BYTES.get(character as usize).copied().flatten())
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_and_others_are_their_own_utf8() {
        assert_eq!(BYTES.iter().flatten().count(), 256);
        assert_eq!(bytes_of("Ġhello"), b" hello");
        assert_eq!(bytes_of("ĊŃ"), [b'\n', 0xAD]);
        assert_eq!(bytes_of("two words"), b"two words");
        assert_eq!(bytes_of("日"), "日".as_bytes());
        assert_eq!(bytes_of(""), b"");
    }
}
