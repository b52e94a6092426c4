//! How much longer a tokenizer's parts may make a text.
//!
//! A file of a few lines can describe parts that write ten letters for one and come twelve times in a row. What they
//! make of one letter fits no machine, and running out of memory ends the process. So what a part can do at most is
//! worked out before it is built.

use serde_json::Value;

use crate::tokenizer_json::Refusal;

/// No part makes a text longer than this many times. The farthest in use is what NFKC makes of U+FDFA by SentencePiece's
/// tables, which has 33 bytes, followed by a replacement of spaces.
const MAX_GROWTH: f64 = 64.0;

/// No part puts more bytes before a text; those in use put one character.
const MAX_PREPENDED_BYTES: usize = 256;

/// How many times longer a normaliser, a pre-tokenizer or a decoder, written as `tokenizer.json` writes it, can make a
/// text.
///
/// # Errors
/// Says which of it is larger than any in use.
pub(crate) fn of_part(part: &Value) -> Result<f64, Refusal> {
    let growth = growth(part)?;
    if growth > MAX_GROWTH {
        return Err(format!("it makes texts {growth:.0} times longer, and at most {MAX_GROWTH} times is allowed"));
    }
    let prepended = prepended(part);
    if prepended > MAX_PREPENDED_BYTES {
        return Err(format!("it puts {prepended} bytes before a text, and at most {MAX_PREPENDED_BYTES} are allowed"));
    }
    Ok(growth)
}

/// The parts in a sequence of any kind.
fn inner_parts(part: &Value) -> impl Iterator<Item = &Value> {
    ["normalizers", "pretokenizers", "decoders"].into_iter().filter_map(|key| part[key].as_array()).flatten()
}

/// Parts are known by their fields, since old files name no types.
fn growth(part: &Value) -> Result<f64, Refusal> {
    let text = |key: &str| part[key].as_str();
    let mut growth = 1.0;
    for inner in inner_parts(part) {
        growth *= self::growth(inner)?;
    }
    if let (Some(content), pattern @ Value::Object(_)) = (text("content"), &part["pattern"]) {
        growth *= of_replacement(pattern, content);
    }
    if let Some(table) = text("precompiled_charsmap") {
        growth *= of_charsmap(table)?;
    }
    if let Some(replacement) = text("replacement") {
        growth *= replacement.len().max(1) as f64;
    }
    // A letter for each byte, of up to two bytes.
    if text("type") == Some("ByteLevel") {
        growth *= 2.0;
    }
    // What is replaced by a space is found between any two letters where it is empty.
    if text("suffix") == Some("") || text("word_delimiter_token") == Some("") {
        growth *= 2.0;
    }
    Ok(growth)
}

/// Each match becomes `content`.
fn of_replacement(pattern: &Value, content: &str) -> f64 {
    let shortest_match = match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
        (Some(fixed), _) => fixed.len(),
        // Expressions that this parser does not know, such as those that look ahead, may match nothing.
        (_, Some(expression)) => {
            let parsed = regex_syntax::Parser::new().parse(expression).ok();
            parsed.and_then(|parsed| parsed.properties().minimum_len()).unwrap_or(0)
        }
        _ => 0,
    };
    match shortest_match {
        0 => 1.0 + content.len() as f64,
        bytes => (content.len() as f64 / bytes as f64).max(1.0),
    }
}

/// SentencePiece's table of replacements, in base 64: the length of a trie in bytes, as a little-endian 32-bit number;
/// the trie; the replacements, each ended by a zero byte. Any byte may become the longest of them.
fn of_charsmap(table: &str) -> Result<f64, Refusal> {
    let bytes = base64::decode(table).map_err(|error| format!("its `precompiled_charsmap` is not valid: {error}"))?;
    let replacements = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
        // The crate takes memory on the word of this number.
        rest.get(u32::from_le_bytes(*length) as usize..)
    });
    let replacements = replacements.ok_or("its `precompiled_charsmap` was cut off")?;
    let longest = replacements.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0);
    Ok(longest.max(1) as f64)
}

/// Bytes that are put before each stretch of text.
fn prepended(part: &Value) -> usize {
    let own = ["prepend", "prefix"].into_iter().filter_map(|key| part[key].as_str()).map(str::len).sum::<usize>();
    own + inner_parts(part).map(prepended).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replace(pattern: Value, content: &str) -> Value {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    #[test]
    fn replacements_count_by_what_they_take_away() {
        let of = |pattern: Value, content: &str| of_part(&replace(pattern, content)).unwrap();
        assert_eq!(of(json!({"String": " "}), "▁"), 3.0);
        assert_eq!(of(json!({"String": "▁"}), " "), 1.0);
        assert_eq!(of(json!({"String": ""}), "ab"), 3.0);
        assert_eq!(of(json!({"Regex": " {2,}"}), "▁"), 1.5);
        assert_eq!(of(json!({"Regex": "x*"}), "▁"), 4.0);
        assert_eq!(of(json!({"Regex": "(?=x)"}), "▁"), 4.0);
        assert_eq!(of(json!({"Regex": "x"}), ""), 1.0);
    }

    #[test]
    fn sequences_multiply_whether_or_not_they_are_typed() {
        let twice = json!({"pattern": {"String": "a"}, "content": "aa"});
        let of = |count: usize| of_part(&json!({"normalizers": vec![twice.clone(); count]}));
        assert_eq!(of(6), Ok(64.0));
        assert_eq!(of(7).unwrap_err(), "it makes texts 128 times longer, and at most 64 times is allowed");
        let bytes = json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 7]});
        of_part(&bytes).unwrap_err();
        let spaces = json!({"type": "Sequence", "decoders": vec![json!({"type": "BPEDecoder", "suffix": ""}); 7]});
        of_part(&spaces).unwrap_err();
        of_part(&json!({"type": "Prepend", "prepend": "a".repeat(257)})).unwrap_err();
    }

    #[test]
    fn a_table_of_replacements_counts_by_its_longest_and_must_be_whole() {
        let table = |trie_bytes: u32, replacements: &str| {
            let bytes = [&trie_bytes.to_le_bytes()[..], &[0; 8], replacements.as_bytes()].concat();
            of_part(&json!({"type": "Precompiled", "precompiled_charsmap": base64::encode(bytes)}))
        };
        assert_eq!(table(8, "a\0bcd\0"), Ok(3.0));
        table(8, &"a".repeat(65)).unwrap_err();
        assert_eq!(table(u32::MAX, "a\0").unwrap_err(), "its `precompiled_charsmap` was cut off");
    }
}
