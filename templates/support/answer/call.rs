//! Reads one call of a tool: a JSON object with a `name` and `arguments` (or `parameters`), as it streams in.

use crate::Output;
use crate::json::Json;

/// What a piece of text did to a call.
pub(super) enum Progress {
    /// The call goes on.
    More,
    /// The call is at its end: the text that follows it.
    Done(String),
    /// This is no call: the text that shows it, marker included, and what follows.
    Malformed(String, String),
}

/// Which part of the object comes next.
#[derive(Debug, PartialEq)]
enum Expect {
    Open,
    Key,
    /// A key, or the end of the object, behind its opening.
    KeyOrEnd,
    Colon,
    Value,
    CommaOrEnd,
}

/// What the value under a key is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    Name,
    Arguments,
    Nothing,
}

/// Reads one call.
#[derive(Debug)]
pub(super) struct CallReader {
    /// Whether it was not announced by a tag of its own, so that only an object of exactly this shape is a call.
    bare: bool,
    /// The text so far, marker included, for the case that this is no call.
    text: String,
    expect: Expect,
    key_use: Use,
    /// The raw JSON of the key or value being read.
    raw: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A name that was read and not said.
    name: Option<String>,
    has_name: bool,
    has_arguments: bool,
    started: bool,
    /// Arguments that were read and not said.
    arguments: String,
}

impl CallReader {
    /// A call behind a tag that announces nothing else.
    pub(super) fn tagged(marker: &str) -> CallReader {
        CallReader {
            bare: false,
            text: marker.to_owned(),
            expect: Expect::Open,
            key_use: Use::Nothing,
            raw: String::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            name: None,
            has_name: false,
            has_arguments: false,
            started: false,
            arguments: String::new(),
        }
    }

    /// A call that only its shape tells from other JSON.
    pub(super) fn bare(marker: &str) -> CallReader {
        CallReader { bare: true, ..CallReader::tagged(marker) }
    }

    pub(super) fn is_bare(&self) -> bool {
        self.bare
    }

    /// Reads on.
    pub(super) fn read(&mut self, text: &str, outputs: &mut Vec<Output>) -> Progress {
        for (at, c) in text.char_indices() {
            match self.character(c) {
                Some(false) => self.text.push(c),
                Some(true) => {
                    self.say(outputs);
                    outputs.push(Output::ToolCallEnd);
                    return Progress::Done(text[at + c.len_utf8()..].to_owned());
                }
                None => {
                    self.say(outputs);
                    if !self.started {
                        return Progress::Malformed(std::mem::take(&mut self.text), text[at..].to_owned());
                    }
                    // Too late to take it back: what was said of the call stands, and the rest is content.
                    outputs.push(Output::ToolCallEnd);
                    return Progress::Done(text[at..].to_owned());
                }
            }
        }
        self.say(outputs);
        Progress::More
    }

    /// The text is at its end within the call: the text, if nothing was said of it.
    pub(super) fn abandon(&mut self, outputs: &mut Vec<Output>) -> Option<String> {
        if self.started {
            outputs.push(Output::ToolCallEnd);
            return None;
        }
        Some(std::mem::take(&mut self.text))
    }

    /// Says what is certain.
    fn say(&mut self, outputs: &mut Vec<Output>) {
        if let Some(name) = self.name.take_if(|_| !self.started && (self.has_arguments || !self.bare)) {
            self.started = true;
            outputs.push(Output::ToolCallStart(name));
        }
        if self.started {
            outputs.push(Output::ToolCallArguments(std::mem::take(&mut self.arguments)));
        }
    }

    /// Reads a character: whether the call ends with it, or `None` if it cannot be.
    fn character(&mut self, c: char) -> Option<bool> {
        if !self.raw.is_empty() {
            return self.inside(c);
        }
        if c.is_whitespace() {
            return Some(false);
        }
        match (&self.expect, c) {
            (Expect::Open, '{') => self.expect = Expect::KeyOrEnd,
            (Expect::Key | Expect::KeyOrEnd, '"') => self.begin(c),
            (Expect::Colon, ':') => self.expect = Expect::Value,
            (Expect::Value, _) => match self.key_use {
                Use::Name if c != '"' => return None,
                Use::Arguments if c != '{' && (self.bare || c != '"') => return None,
                _ => {
                    self.has_arguments |= self.key_use == Use::Arguments;
                    self.begin(c);
                }
            },
            (Expect::CommaOrEnd, ',') => self.expect = Expect::Key,
            (Expect::CommaOrEnd | Expect::KeyOrEnd, '}') => return self.end(),
            _ => return None,
        }
        Some(false)
    }

    /// The object is closed.
    fn end(&mut self) -> Option<bool> {
        if !self.has_name || self.bare && !self.has_arguments {
            return None;
        }
        if !self.has_arguments {
            self.arguments.push_str("{}");
        }
        Some(true)
    }

    /// Begins a key or a value.
    fn begin(&mut self, c: char) {
        self.raw.push(c);
        self.in_string = c == '"';
        self.escaped = false;
        self.depth = usize::from(c == '{' || c == '[');
        self.stream(c);
    }

    /// A value that is an object of arguments is said as it comes.
    fn stream(&mut self, c: char) {
        if self.expect == Expect::Value && self.key_use == Use::Arguments && self.raw.starts_with('{') {
            self.arguments.push(c);
        }
    }

    /// A character of a key or value.
    fn inside(&mut self, c: char) -> Option<bool> {
        let is_scalar = self.depth == 0 && !self.in_string && !self.raw.starts_with('"');
        if is_scalar && (matches!(c, ',' | '}') || c.is_whitespace()) {
            self.complete()?;
            return self.character(c);
        }
        self.raw.push(c);
        self.stream(c);
        if self.in_string {
            self.in_string = c != '"' || self.escaped;
            self.escaped = c == '\\' && !self.escaped;
        } else {
            match c {
                '"' => self.in_string = true,
                '{' | '[' => self.depth += 1,
                '}' | ']' => self.depth = self.depth.checked_sub(1)?,
                _ => {}
            }
        }
        if self.depth == 0 && !self.in_string && matches!(c, '"' | '}' | ']') {
            self.complete()?;
        }
        Some(false)
    }

    /// A key or value is complete.
    fn complete(&mut self) -> Option<()> {
        let raw = std::mem::take(&mut self.raw);
        if self.expect != Expect::Value {
            self.key_use = match Json::read(&raw).ok()?.as_str()? {
                "name" if !self.has_name => Use::Name,
                "arguments" | "parameters" if !self.has_arguments => Use::Arguments,
                // What comes twice may have been said already.
                "name" | "arguments" | "parameters" => return None,
                "type" => Use::Nothing,
                _ if self.bare => return None,
                _ => Use::Nothing,
            };
            self.expect = Expect::Colon;
            return Some(());
        }
        match (self.key_use, Json::read(&raw).ok()?) {
            (Use::Name, Json::String(name)) => (self.name, self.has_name) = (Some(name), true),
            // Some models write the arguments as a string that holds JSON.
            (Use::Arguments, Json::String(arguments)) => self.arguments.push_str(&arguments),
            _ => {}
        }
        self.expect = Expect::CommaOrEnd;
        Some(())
    }
}
