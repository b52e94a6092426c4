//! Files of cases written anew: only what changed, and whole or not at all.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::embed::tool::spaced_json;

/// How many bytes a line may have that holds more than one value.
const WIDTH: usize = 116;

/// How much further what is within a value stands than its beginning.
const INDENT: usize = 2;

/// A list of cases with some in the place of others, by their index; all else stays as it is written. The text is JSON,
/// a list.
pub(super) fn replaced<T: Serialize>(text: &str, cases: &[(usize, T)]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut from = 0;
    for (index, place) in elements(text).into_iter().enumerate() {
        let Some((_, case)) = cases.iter().find(|(of, _)| *of == index) else { continue };
        let line = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
        let indent = &text[line..place.start];
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        written.push_str(&text[from..place.start]);
        written.push_str(&pretty(case).replace('\n', &format!("\n{indent}")));
        from = place.end;
    }
    written + &text[from..]
}

/// JSON as files of cases have it: what fits a line stands on one.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let mut text = String::new();
    // What is written here came of JSON or of plain types, and always serialises.
    lay_out(&serde_json::to_value(value).unwrap_or_default(), 0, 0, &mut text);
    text
}

/// Adds a value that begins in a column of a line of this indent.
fn lay_out(value: &Value, indent: usize, column: usize, text: &mut String) {
    let flat = spaced_json(value);
    let (open, close, entries): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(object) if column + flat.len() > WIDTH && !object.is_empty() => {
            let named = |(name, value)| (format!("{}: ", Value::from(String::clone(name))), value);
            ("{", "}", object.iter().map(named).collect())
        }
        Value::Array(list) if column + flat.len() > WIDTH && !list.is_empty() => {
            ("[", "]", list.iter().map(|value| (String::new(), value)).collect())
        }
        _ => return text.push_str(&flat),
    };
    text.push_str(open);
    let inner = indent + INDENT;
    for (index, (name, value)) in entries.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&" ".repeat(inner));
        text.push_str(name);
        lay_out(value, inner, inner + name.len(), text);
    }
    text.push('\n');
    text.push_str(&" ".repeat(indent));
    text.push_str(close);
}

/// Writes a file through another one beside it, so that it is never half written. A link stays one.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path));
    written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// Where the elements of a JSON list are.
fn elements(text: &str) -> Vec<Range<usize>> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut elements: Vec<Range<usize>> = Vec::new();
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        let was_in_string = in_string;
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_outside = !in_string && !was_in_string;
        let ends = is_outside && ((depth == 1 && byte == b',') || depth == 0);
        if ends {
            elements.extend(start.take());
        } else if depth > 0 && !byte.is_ascii_whitespace() && !(depth == 1 && byte == b'[' && start.is_none()) {
            start = Some(start.map_or(at, |range: Range<usize>| range.start)..at + 1);
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_are_found_whatever_is_in_them() {
        let text = r#" [ {"a": "],[\"{"} , [1, [2]],"x,\\", 3 ,{}]"#;
        let found: Vec<&str> = elements(text).into_iter().map(|place| &text[place]).collect();
        assert_eq!(found, [r#"{"a": "],[\"{"}"#, "[1, [2]]", r#""x,\\""#, "3", "{}"]);
        assert!(elements("[]").is_empty());
        let nested = elements("[[1], [2]]");
        assert_eq!(nested, [1..4, 6..9]);
    }

    #[test]
    fn only_what_is_replaced_changes() {
        let text = "[\n  {\"name\": \"a\",   \"x\": 1},\n  {\"name\": \"b\"}\n]\n";
        let written = replaced(text, &[(1, json!({"name": "b", "y": [2]}))]);
        assert_eq!(written, "[\n  {\"name\": \"a\",   \"x\": 1},\n  {\"name\": \"b\", \"y\": [2]}\n]\n");
    }

    #[test]
    fn what_fits_a_line_stands_on_one() {
        let value = json!({"short": [1, {"a": "b"}], "long": ["x".repeat(60), "y".repeat(60)], "none": {}});
        let (x, y) = ("x".repeat(60), "y".repeat(60));
        let expected = format!(
            "{{\n  \"short\": [1, {{\"a\": \"b\"}}],\n  \"long\": [\n    \"{x}\",\n    \"{y}\"\n  ],\n  \"none\": {{}}\n}}"
        );
        assert_eq!(pretty(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "before").unwrap();
        write(&path, "after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("none.json"), "").is_err());
    }
}
