//! The fake model's vocabulary: one token for each byte, and a few added ones.

use std::fmt::Write;

/// How many tokens there are.
pub const VOCABULARY_SIZE: u32 = 260;

/// `<|end|>`, a special token: the end of a turn.
pub const END: u32 = 256;

/// `<|start|>`, a special token: the beginning of a turn.
pub const START: u32 = 257;

/// A `tokenizer.json` for it. Token `n` below 256 is byte `n`; no merges, so a text has as many tokens as bytes.
/// 256 is `<|end|>`, 257 `<|start|>`, both special; 258 `<tool>` and 259 `</tool>`, which are not.
pub fn tokenizer_json() -> String {
    let mut vocabulary = String::new();
    for byte in 0..=u8::MAX {
        let separator = if byte == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(vocabulary, r#"{separator}"\u{:04x}":{byte}"#, u32::from(letter(byte)));
    }
    let added: Vec<String> = [("<|end|>", true), ("<|start|>", true), ("<tool>", false), ("</tool>", false)]
        .iter()
        .zip(256..)
        .map(|((content, special), id)| {
            format!(
                r#"{{"id":{id},"content":"{content}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":{special}}}"#
            )
        })
        .collect();
    let byte_level = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}"#;
    format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{}],"normalizer":null,"pre_tokenizer":{byte_level},"post_processor":null,"decoder":{byte_level},"model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{{{vocabulary}}},"merges":[]}}}}"#,
        added.join(",")
    )
}

/// The letter that stands for a byte in GPT-2's alphabet (`bytes_to_unicode` of its `encoder.py`): printable bytes
/// stand for themselves, the others, in order, for the letters from U+0100 on.
fn letter(byte: u8) -> char {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if is_printable(&byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !is_printable(byte)).count();
    char::from_u32(0x100 + before as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
