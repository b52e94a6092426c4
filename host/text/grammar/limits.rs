//! What a grammar may cost, whoever wrote it.

use std::time::Duration;

use llguidance::api::ParserLimits;
use serde_json::Value;

use super::source::GrammarSource;
use crate::error::{TextError, TextErrorKind};

/// The most bytes of a grammar's text. The largest schema in common use (FHIR's, a megabyte) is no answer's.
const MOST_BYTES: usize = 256 << 10;

/// The most bytes of the text of a JSON Schema: those above, and the blanks of one that is indented. Parsed, it may take
/// forty times as many.
const MOST_SCHEMA_TEXT: usize = 4 * MOST_BYTES;

/// The most levels of brackets, as many as serde_json reads.
const MOST_LEVELS: usize = 128;

/// How long compiling may take. A schema of a few kilobytes takes milliseconds.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(5);

/// The stack of a compiling thread: what a grammar within the limits above can take by nesting, several times over.
/// It is mapped, not used.
pub(super) const COMPILE_STACK: usize = 256 << 20;

/// How many grammars are compiled at once. Others wait.
pub(super) const COMPILED_AT_ONCE: usize = 4;

/// llguidance's own limits. The work for one token runs on the device thread, where a policy's step has 20 ms; by
/// llguidance's rates (14,000 units of fuel and 20,000 items a millisecond) these come to as much at the worst.
pub(super) fn parser_limits() -> ParserLimits {
    ParserLimits {
        // 20 ms.
        initial_lexer_fuel: 1_000_000,
        // 14 ms.
        step_lexer_fuel: 200_000,
        // 2.5 ms.
        step_max_items: 50_000,
        max_items_in_row: 2_000,
        // Of 1 to 2 KB each.
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: true,
        verbose_errors: false,
    }
}

/// Before the text of a JSON Schema is parsed.
///
/// # Errors
/// [`TextErrorKind::GrammarTooComplex`] for one that is too long.
pub(super) fn check_schema_text(text: &str) -> Result<(), TextError> {
    if text.len() <= MOST_SCHEMA_TEXT {
        return Ok(());
    }
    Err(too_large("JSON Schema", &format!("{} bytes, and {MOST_SCHEMA_TEXT} are allowed", text.len())))
}

/// # Errors
/// [`TextErrorKind::GrammarTooComplex`] for a text that is too long, or whose brackets are nested too deep.
pub(super) fn check(source: &GrammarSource) -> Result<(), TextError> {
    let (bytes, levels) = match source {
        GrammarSource::JsonSchema(schema) => (schema_bytes(schema), schema_levels(schema)),
        GrammarSource::Regex(text) | GrammarSource::Lark(text) => (text.len(), bracket_levels(text)),
    };
    if levels > MOST_LEVELS {
        return Err(too_large(source.name(), &format!("more than {MOST_LEVELS} levels of nesting")));
    }
    if bytes > MOST_BYTES {
        return Err(too_large(source.name(), &format!("{bytes} bytes, and {MOST_BYTES} are allowed")));
    }
    Ok(())
}

fn too_large(name: &str, what: &str) -> TextError {
    TextError::new(TextErrorKind::GrammarTooComplex, format!("the {name} is too large: it has {what}"))
}

/// The levels of a value, counted no further than to the one that is too many: this recurses.
fn schema_levels(value: &Value) -> usize {
    fn deepest(value: &Value, allowed: usize) -> usize {
        if allowed == 0 {
            return 0;
        }
        let inner = match value {
            Value::Array(items) => items.iter().map(|item| deepest(item, allowed - 1)).max(),
            Value::Object(fields) => fields.values().map(|field| deepest(field, allowed - 1)).max(),
            _ => return 0,
        };
        1 + inner.unwrap_or(0)
    }
    deepest(value, MOST_LEVELS + 1)
}

/// About how long its text is.
fn schema_bytes(value: &Value) -> usize {
    let mut bytes = 0_usize;
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        bytes += match value {
            Value::String(text) => text.len() + 2,
            Value::Object(fields) => fields.keys().map(|key| key.len() + 4).sum(),
            _ => 2,
        };
        if bytes > 2 * MOST_BYTES {
            break;
        }
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => left.extend(fields.values()),
            _ => {}
        }
    }
    bytes
}

/// The deepest nesting of brackets of any kind, those within strings and escapes among them: rather one too many.
fn bracket_levels(text: &str) -> usize {
    let (mut level, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => level += 1,
            b')' | b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
        most = most.max(level);
    }
    most
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!("x"), |inner, _| json!([inner]))
    }

    #[test]
    fn levels_are_counted_and_no_deeper_than_needed() {
        assert_eq!(schema_levels(&nested(0)), 0);
        assert_eq!(schema_levels(&nested(MOST_LEVELS)), MOST_LEVELS);
        assert_eq!(schema_levels(&nested(MOST_LEVELS + 50)), MOST_LEVELS + 1);
        assert_eq!(schema_levels(&json!({"a": [1, {"b": 2}], "c": 3})), 3);
        assert_eq!(bracket_levels("a(b[c]{d}(e))f"), 2);
        assert_eq!(bracket_levels(")))((("), 3);
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        let error = |source| check(&source).unwrap_err().to_string();
        let deep = error(GrammarSource::JsonSchema(nested(MOST_LEVELS + 1)));
        assert_eq!(deep, "the JSON Schema is too large: it has more than 128 levels of nesting");
        let long = error(GrammarSource::Regex("a".repeat(MOST_BYTES + 1)));
        assert_eq!(long, "the regular expression is too large: it has 262145 bytes, and 262144 are allowed");
        let wide = error(GrammarSource::JsonSchema(json!({"enum": vec!["a".repeat(1000); 300]})));
        assert!(wide.contains("bytes, and 262144 are allowed"), "{wide}");
        check(&GrammarSource::Lark("(".repeat(MOST_LEVELS))).unwrap();
    }
}
