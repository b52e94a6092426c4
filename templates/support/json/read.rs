//! Reading JSON (RFC 8259).

use std::fmt;

use super::{Entries, Json};

/// How deep values may nest.
const MAX_DEPTH: usize = 128;

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    expected: &'static str,
    at: usize,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for SyntaxError {}

type Result<T> = std::result::Result<T, SyntaxError>;

pub(super) fn read(text: &str) -> Result<Json> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value()?;
    reader.skip_space();
    match reader.at == text.len() {
        true => Ok(value),
        false => reader.error("the end of the text"),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// A byte's index, always at the border of a character.
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error<T>(&self, expected: &'static str) -> Result<T> {
        Err(SyntaxError { expected, at: self.at })
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Passes white space and then a word, if it is there.
    fn accept(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn expect(&mut self, word: &'static str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { self.error(word) }
    }

    fn value(&mut self) -> Result<Json> {
        self.skip_space();
        match self.rest().bytes().next() {
            Some(b'{') => self.nested(Reader::object),
            Some(b'[') => self.nested(Reader::array),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.accept("null") => Ok(Json::Null),
            _ if self.accept("true") => Ok(Json::Bool(true)),
            _ if self.accept("false") => Ok(Json::Bool(false)),
            _ => self.error("a value"),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json>) -> Result<Json> {
        if self.depth == MAX_DEPTH {
            return self.error("less nesting");
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Json> {
        self.expect("[")?;
        let mut items = Vec::new();
        if self.accept("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if !self.accept(",") {
                self.expect("]")?;
                return Ok(Json::Array(items));
            }
        }
    }

    fn object(&mut self) -> Result<Json> {
        self.expect("{")?;
        let mut entries = Entries::new();
        if self.accept("}") {
            return Ok(Json::Object(entries));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.expect(":")?;
            let value = self.value()?;
            match entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => entries.push((name, value)),
            }
            if !self.accept(",") {
                self.expect("}")?;
                return Ok(Json::Object(entries));
            }
        }
    }

    fn number(&mut self) -> Result<Json> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let whole = sign + digits(&rest[sign..]);
        if whole == sign || (whole > sign + 1 && rest[sign..].starts_with('0')) {
            return self.error("a number");
        }
        let mut end = whole;
        if rest[end..].starts_with('.') {
            let decimals = digits(&rest[end + 1..]);
            end += 1 + decimals;
            if decimals == 0 {
                return self.error("a number");
            }
        }
        if rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(&rest[end + 1 + sign..]);
            end += 1 + sign + exponent;
            if exponent == 0 {
                return self.error("a number");
            }
        }
        let number = &rest[..end];
        // An integer beyond 128 bits becomes the nearest float.
        let integer = if end == whole { number.parse().ok() } else { None };
        let value = integer.map(Json::Integer).or_else(|| number.parse().ok().map(Json::Float));
        let Some(value) = value else { return self.error("a number") };
        self.at += end;
        Ok(value)
    }

    fn string(&mut self) -> Result<String> {
        if !self.rest().starts_with('"') {
            return self.error("a string");
        }
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = self.rest();
            let Some(end) = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\x1f')) else {
                return self.error("the end of a string");
            };
            string.push_str(&rest[..end]);
            self.at += end;
            match rest.as_bytes()[end] {
                b'"' => {
                    self.at += 1;
                    return Ok(string);
                }
                b'\\' => string.push(self.escape()?),
                _ => return self.error("an escape in place of a control character"),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let escaped = self.rest().chars().nth(1);
        let c = match escaped {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode_escape(),
            _ => return self.error("an escape"),
        };
        self.at += 2;
        Ok(c)
    }

    /// `\u` with four digits, or two of them that make a surrogate pair. Half a pair is no character of UTF-8.
    fn unicode_escape(&mut self) -> Result<char> {
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
        };
        let Some(first) = unit(self.rest()) else { return self.error("four hexadecimal digits") };
        self.at += 6;
        let second = unit(self.rest()).filter(|second| (0xdc00..0xe000).contains(second));
        let code = match second {
            Some(second) if (0xd800..0xdc00).contains(&first) => {
                self.at += 6;
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            _ => first,
        };
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}
