//! A flat JSON object as the texts of its fields.
//!
//! A JSON library would be most of a policy: `default-policy` is a component of 160 KB with serde_json and of 76 KB with
//! these lines, and every machine that installs it compiles it.

/// Splits an object into names and values, each as it is written: names without their quotes and with their escapes
/// (no parameter's name has any), values untouched. What lies inside an array or an inner object is not looked at.
///
/// # Errors
/// Says what is missing and where.
pub(crate) fn split(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut scanner = Scanner { text, at: 0 };
    let mut fields = Vec::new();
    scanner.expect(b'{')?;
    if !scanner.accept(b'}') {
        loop {
            let name = scanner.string()?;
            scanner.expect(b':')?;
            fields.push((name, scanner.value()?));
            if !scanner.accept(b',') {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    match scanner.peek() {
        None => Ok(fields),
        Some(_) => Err(scanner.missing("the end of the text")),
    }
}

struct Scanner<'a> {
    text: &'a str,
    /// A byte's index. It only ever stops at ASCII characters or the end, so it may always cut the text.
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn accept(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(self.missing(&format!("`{}`", char::from(wanted)))) }
    }

    fn missing(&self, wanted: &str) -> String {
        format!("{wanted} is missing at byte {}", self.at)
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.expect(b'"')?;
        let start = self.at;
        while let Some(byte) = self.byte() {
            self.at += 1;
            match byte {
                b'"' => return Ok(&self.text[start..self.at - 1]),
                // Whatever is escaped does not end the string; the rest of a longer escape is plain text.
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err("a string has no end".into())
    }

    fn value(&mut self) -> Result<&'a str, String> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => drop(self.string()?),
            Some(b'{' | b'[') => self.brackets()?,
            _ => {
                let rest = self.text[start..].bytes();
                self.at += rest.take_while(|byte| !byte.is_ascii_whitespace() && !b",]}".contains(byte)).count();
                if self.at == start {
                    return Err(self.missing("a value"));
                }
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Goes to behind the bracket that closes this one. By counting, since a guest's stack is small.
    fn brackets(&mut self) -> Result<(), String> {
        let mut depth = 0;
        loop {
            match self.peek() {
                None => return Err(self.missing("a closing bracket")),
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                Some(_) => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::split;

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| Value::Object(Map::from_iter(fields))),
            ]
        })
    }

    proptest! {
        #[test]
        fn finds_what_a_json_library_wrote(object in prop::collection::btree_map(any::<String>(), json(), 0..6), pretty: bool) {
            let written = Value::Object(object.into_iter().collect());
            let text = if pretty { format!("{written:#}") } else { written.to_string() };
            let read = split(&text).unwrap().into_iter().map(|(name, value)| {
                let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
                (name, serde_json::from_str(value).unwrap())
            });
            prop_assert_eq!(Value::Object(read.collect()), written);
        }

        #[test]
        fn any_text_is_split_or_refused(text: String) {
            let _ = split(&text);
        }

        #[test]
        fn text_like_json_is_split_or_refused(text in r#"[{}\[\]",:\\ a1é]{0,24}"#) {
            let _ = split(&text);
        }
    }

    #[test]
    fn says_what_is_missing() {
        let error = |text| split(text).unwrap_err();
        assert_eq!(error(""), "`{` is missing at byte 0");
        assert_eq!(error("[]"), "`{` is missing at byte 0");
        assert_eq!(error(r#"{"a" 1}"#), "`:` is missing at byte 5");
        assert_eq!(error(r#"{"a":}"#), "a value is missing at byte 5");
        assert_eq!(error(r#"{"a":1"#), "`}` is missing at byte 6");
        assert_eq!(error(r#"{"a":1,}"#), "`\"` is missing at byte 7");
        assert_eq!(error(r#"{"a":[1"#), "a closing bracket is missing at byte 7");
        assert_eq!(error(r#"{"a"#), "a string has no end");
        assert_eq!(error(r#"{} 1"#), "the end of the text is missing at byte 3");
    }
}
