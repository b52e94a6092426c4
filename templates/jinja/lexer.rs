//! From a template's source to tokens, with the whitespace rules that transformers sets: `trim_blocks`,
//! `lstrip_blocks`, and no trailing newline.

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::python;

/// A token and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) line: u32,
    pub(crate) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// Text outside of any tag.
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(Rc<str>),
    String(String),
    Integer(i128),
    Float(f64),
    Operator(&'static str),
    End,
}

/// Longer operators first, so that the first that fits is the right one.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// All tokens of a template, an `End` last.
pub(crate) fn tokenize(source: &str) -> Result<Vec<Token>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, position: 0, line: 1, tokens: Vec::new() };
    while lexer.position < source.len() {
        lexer.data()?;
    }
    lexer.push(TokenKind::End);
    Ok(lexer.tokens)
}

/// What a tag asks of the whitespace before it.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    /// `-`: remove it.
    Strip,
    /// `+`: leave it.
    Keep,
    /// Neither: remove the indentation of a block or comment that stands first on its line.
    Indentation,
    /// Neither, before a variable: leave it.
    Variable,
}

struct Lexer<'a> {
    source: &'a str,
    position: usize,
    /// The line of `position`.
    line: u32,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.position..]
    }

    fn push(&mut self, kind: TokenKind) {
        self.tokens.push(Token { line: self.line, kind });
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.source[self.position..self.position + bytes];
        self.line += passed.matches('\n').count() as u32;
        self.position += bytes;
    }

    fn skip_whitespace(&mut self) {
        let rest = self.rest();
        self.advance(rest.len() - rest.trim_start_matches(python::is_space).len());
    }

    fn skip_if(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.advance(prefix.len());
        }
        found
    }

    /// Text up to the next tag, and the tag.
    fn data(&mut self) -> Result<()> {
        let rest = self.rest();
        let tag = rest.match_indices('{').map(|(at, _)| at).find(|at| {
            let next = rest.as_bytes().get(at + 1);
            matches!(next, Some(b'%' | b'{' | b'#'))
        });
        let Some(at) = tag else {
            self.text(rest.len(), Sign::Keep);
            return Ok(());
        };
        let opening = &rest[at..at + 2];
        let sign = match rest.as_bytes().get(at + 2) {
            Some(b'-') => Sign::Strip,
            Some(b'+') => Sign::Keep,
            _ if opening == "{{" => Sign::Variable,
            _ => Sign::Indentation,
        };
        self.text(at, sign);
        self.advance(2 + usize::from(matches!(sign, Sign::Strip | Sign::Keep)));
        match opening {
            "{#" => self.comment(),
            "{{" => {
                self.push(TokenKind::VariableBegin);
                self.tag(Lexer::variable_end, TokenKind::VariableEnd)
            }
            _ if self.raw_begin() => self.raw(),
            _ => {
                self.push(TokenKind::BlockBegin);
                self.tag(Lexer::block_end, TokenKind::BlockEnd)
            }
        }
    }

    /// Text of `bytes`, with whitespace removed at its end as the tag after it asks.
    fn text(&mut self, bytes: usize, sign: Sign) {
        let text = &self.rest()[..bytes];
        let kept = match sign {
            Sign::Strip => text.trim_end_matches(python::is_space),
            Sign::Indentation => {
                let line_start = match text.rfind('\n') {
                    Some(newline) => Some(newline + 1),
                    None => (self.position == 0 || self.source[..self.position].ends_with('\n')).then_some(0),
                };
                match line_start {
                    Some(start) if text[start..].chars().all(python::is_space) => &text[..start],
                    _ => text,
                }
            }
            Sign::Keep | Sign::Variable => text,
        };
        if !kept.is_empty() {
            self.push(TokenKind::Data(kept.to_owned()));
        }
        self.advance(bytes);
    }

    fn comment(&mut self) -> Result<()> {
        let Some(end) = self.rest().find("#}") else {
            return Err(Error::syntax("a comment is not closed", self.line));
        };
        let sign = self.rest()[..end].chars().next_back();
        self.advance(end + 2);
        match sign {
            Some('-') => self.skip_whitespace(),
            Some('+') => {}
            _ => {
                self.skip_if("\n");
            }
        }
        Ok(())
    }

    /// Whether the tag that was just opened is `raw`, which it then passes.
    fn raw_begin(&mut self) -> bool {
        let (position, line) = (self.position, self.line);
        self.skip_whitespace();
        if self.skip_if("raw") {
            self.skip_whitespace();
            if self.skip_if("-%}") {
                self.skip_whitespace();
                return true;
            }
            if self.skip_if("%}") {
                return true;
            }
        }
        (self.position, self.line) = (position, line);
        false
    }

    /// Text up to `{% endraw %}`.
    fn raw(&mut self) -> Result<()> {
        let start = self.position;
        let mut search = start;
        while let Some(found) = self.source[search..].find("{%") {
            let at = search + found;
            search = at + 2;
            let after = &self.source[search..];
            let sign = match after.chars().next() {
                Some('-') => Sign::Strip,
                Some('+') => Sign::Keep,
                _ => Sign::Indentation,
            };
            let name = after.trim_start_matches(['-', '+']).trim_start_matches(python::is_space);
            let Some(end) = name.strip_prefix("endraw") else { continue };
            let end = end.trim_start_matches(python::is_space);
            if !["+%}", "-%}", "%}"].iter().any(|closing| end.starts_with(closing)) {
                continue;
            }
            self.text(at - start, sign);
            self.advance(self.source.len() - end.len() - at);
            self.block_end();
            return Ok(());
        }
        Err(Error::syntax("`raw` is not closed", self.line))
    }

    fn variable_end(&mut self) -> bool {
        if self.skip_if("-}}") {
            self.skip_whitespace();
            return true;
        }
        self.skip_if("}}")
    }

    fn block_end(&mut self) -> bool {
        if self.skip_if("-%}") {
            self.skip_whitespace();
            return true;
        }
        if self.skip_if("+%}") {
            return true;
        }
        let ended = self.skip_if("%}");
        if ended {
            self.skip_if("\n");
        }
        ended
    }

    /// The inside of a tag, up to and with its end.
    fn tag(&mut self, skip_end: fn(&mut Self) -> bool, end: TokenKind) -> Result<()> {
        let mut open = Vec::new();
        loop {
            self.skip_whitespace();
            let line = self.line;
            if open.is_empty() && skip_end(self) {
                self.tokens.push(Token { line, kind: end });
                return Ok(());
            }
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(Error::syntax("the template ends within a tag", line));
            };
            if first.is_ascii_digit() {
                self.number()?;
            } else if first.is_alphabetic() || first == '_' {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                self.push(TokenKind::Name(rest[..end].into()));
                self.advance(end);
            } else if first == '\'' || first == '"' {
                self.string(first)?;
            } else if let Some(operator) = OPERATORS.into_iter().find(|operator| rest.starts_with(operator)) {
                match operator {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(operator) => {
                        return Err(Error::syntax(format!("unexpected '{operator}'"), line));
                    }
                    _ => {}
                }
                self.push(TokenKind::Operator(operator));
                self.advance(operator.len());
            } else {
                return Err(Error::syntax(format!("unexpected character {first:?}"), line));
            }
        }
    }

    fn number(&mut self) -> Result<()> {
        let rest = self.rest();
        let digits_end = |from: usize, radix: u32| {
            let digits = &rest[from..];
            from + digits.find(|c: char| !(c.is_digit(radix) || c == '_')).unwrap_or(digits.len())
        };
        let radix = match rest.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        if radix != 10 {
            let end = digits_end(2, radix);
            return self.integer(&rest[2..end], radix, end);
        }
        let after_dot = self.position > 0 && self.source[..self.position].ends_with('.');
        let whole = digits_end(0, 10);
        let mut end = whole;
        if !after_dot {
            let digit_at = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
            if rest[end..].starts_with('.') && digit_at(end + 1) {
                end = digits_end(end + 1, 10);
            }
            if rest[end..].starts_with(['e', 'E']) {
                let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
                if digit_at(end + 1 + sign) {
                    end = digits_end(end + 1 + sign, 10);
                }
            }
        }
        if end == whole {
            return self.integer(&rest[..end], 10, end);
        }
        match rest[..end].replace('_', "").parse() {
            Ok(value) => self.push(TokenKind::Float(value)),
            Err(_) => return Err(Error::syntax("malformed number", self.line)),
        }
        self.advance(end);
        Ok(())
    }

    fn integer(&mut self, digits: &str, radix: u32, bytes: usize) -> Result<()> {
        match i128::from_str_radix(&digits.replace('_', ""), radix) {
            Ok(value) => self.push(TokenKind::Integer(value)),
            Err(_) => return Err(Error::syntax("malformed number", self.line)),
        }
        self.advance(bytes);
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<()> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else {
            return Err(Error::syntax("a string is not closed", self.line));
        };
        let Some(value) = unescape(&rest[1..end]) else {
            return Err(Error::syntax("a string has a malformed escape", self.line));
        };
        self.push(TokenKind::String(value));
        self.advance(end + 1);
        Ok(())
    }
}

/// The meaning of a string literal's inside, as Python's `unicode-escape` codec has it. `None` where an escape is
/// malformed.
fn unescape(literal: &str) -> Option<String> {
    let mut value = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        let hexadecimal = |digits: usize| {
            let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
            // Half a surrogate pair is no character of UTF-8.
            Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        };
        match escape {
            '\n' => {}
            '\\' | '\'' | '"' => value.push(escape),
            'a' => value.push('\x07'),
            'b' => value.push('\x08'),
            'f' => value.push('\x0c'),
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            'v' => value.push('\x0b'),
            'x' | 'u' | 'U' => {
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                value.push(hexadecimal(digits)?);
                rest = &rest[digits..];
            }
            '0'..='7' => {
                let more = rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let digits = &literal[literal.len() - rest.len() - 1..literal.len() - rest.len() + more];
                value.push(char::from_u32(u32::from_str_radix(digits, 8).ok()?)?);
                rest = &rest[more..];
            }
            'N' => return None,
            other => value.extend(['\\', other]),
        }
    }
    value.push_str(rest);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(source: &str) -> Vec<String> {
        let tokens = tokenize(source).unwrap().into_iter();
        tokens.filter_map(|token| if let TokenKind::Data(text) = token.kind { Some(text) } else { None }).collect()
    }

    #[test]
    fn blocks_swallow_their_indentation_and_one_newline() {
        assert_eq!(data("a\n  {% if x %}\n  b\n\t{% endif %}\n c\n"), ["a\n", "  b\n", " c"]);
        assert_eq!(data("a {% if x %}\nb {%+ endif %}c"), ["a ", "b ", "c"]);
        assert_eq!(data("  {{ x }}\n{#- y -#}  z"), ["  ", "z"]);
        assert_eq!(data("  {{- x -}}\n\n y{# +#}\n{% raw %}{{ z }}  {%- endraw +%}\n"), ["y", "\n", "{{ z }}"]);
    }

    #[test]
    fn literals() {
        let kinds: Vec<_> = tokenize(r"{{ 1_0 2.5e1 0xff x.0.1 'a\n\x41\u00e9\101\q' }}")
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .filter(|kind| matches!(kind, TokenKind::Integer(_) | TokenKind::Float(_) | TokenKind::String(_)))
            .collect();
        let expected = [
            TokenKind::Integer(10),
            TokenKind::Float(25.0),
            TokenKind::Integer(255),
            TokenKind::Integer(0),
            TokenKind::Integer(1),
            TokenKind::String("a\nAéA\\q".to_owned()),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_is_not_closed_is_an_error_with_its_line() {
        for source in ["\n{{ x", "\n{% if ) %}", "\n{# x", "\n{% raw %}x", "\n{{ 'x }}", "\n{{ '\\xg' }}", "\n{{ ? }}"]
        {
            assert_eq!(tokenize(source).unwrap_err().line(), Some(2), "{source}");
        }
    }
}
