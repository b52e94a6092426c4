//! Reads one call of a tool that is written in tags, as it streams in: `<function=name>` with parameters, as
//! Qwen3-Coder writes it, or a name with `<arg_key>` and `<arg_value>`, as GLM-4.5 does.
//!
//! Such values have no types of their own: [`Parameters`] says what each is. An argument is said once it is complete.

use std::rc::Rc;

use super::call::Progress;
use super::parameters::Parameters;
use crate::json::Json;
use crate::{Output, Tool};

/// Which tags there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `<function=f><parameter=a>1</parameter></function>`
    Function,
    /// `f<arg_key>a</arg_key><arg_value>1</arg_value>`
    Keys,
}

const FUNCTION: &str = "<function=";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";
const KEY: &str = "<arg_key>";
const KEY_END: &str = "</arg_key>";
const VALUE: &str = "<arg_value>";
const VALUE_END: &str = "</arg_value>";

/// What comes next.
#[derive(Debug)]
enum Expect {
    Name,
    ArgumentOrEnd,
    /// The value of the argument that has this name.
    Value(String),
}

/// What a look at the text came to.
enum Look {
    /// More text decides.
    Wait,
    /// A part is understood.
    Next,
    /// The call is at its end; whatever follows is none of it.
    End,
    /// This is no call.
    Malformed,
}

/// Reads one call.
#[derive(Debug)]
pub(super) struct MarkupReader {
    tags: Tags,
    /// What announced it.
    marker: &'static str,
    /// What ends it.
    end: &'static str,
    /// The tools that the model was offered.
    tools: Rc<[Tool]>,
    /// What the called one's parameters are, once its name is known.
    parameters: Parameters,
    /// Text that is not understood yet.
    pending: String,
    expect: Expect,
    /// How many arguments were said.
    arguments: usize,
}

impl MarkupReader {
    /// A call of one of the tools, between these tags.
    pub(super) fn new(tags: Tags, marker: &'static str, end: &'static str, tools: Rc<[Tool]>) -> MarkupReader {
        let (pending, parameters) = (String::new(), Parameters::default());
        MarkupReader { tags, marker, end, tools, parameters, pending, expect: Expect::Name, arguments: 0 }
    }

    /// Reads on.
    pub(super) fn read(&mut self, text: &str, outputs: &mut Vec<Output>) -> Progress {
        self.pending.push_str(text);
        loop {
            let look = match &self.expect {
                Expect::Name => self.name(outputs),
                Expect::ArgumentOrEnd => self.argument(),
                Expect::Value(name) => {
                    let name = name.clone();
                    self.value(&name, outputs)
                }
            };
            match look {
                Look::Wait => return Progress::More,
                Look::Next => {}
                Look::End => {
                    let close = if self.arguments == 0 { "{}" } else { "}" };
                    outputs.push(Output::ToolCallArguments(close.to_owned()));
                    outputs.push(Output::ToolCallEnd);
                    return Progress::Done(std::mem::take(&mut self.pending));
                }
                Look::Malformed => {
                    return Progress::Malformed(self.marker.to_owned(), std::mem::take(&mut self.pending));
                }
            }
        }
    }

    /// The text is at its end within the call: the text, if nothing was said of it.
    pub(super) fn abandon(&mut self, outputs: &mut Vec<Output>) -> Option<String> {
        if let Expect::Name = self.expect {
            return Some(self.marker.to_owned() + &std::mem::take(&mut self.pending));
        }
        outputs.push(Output::ToolCallEnd);
        None
    }

    fn name(&mut self, outputs: &mut Vec<Output>) -> Look {
        let text = self.pending.trim_start();
        let (name, rest) = match self.tags {
            Tags::Function => match after(text, &[FUNCTION]) {
                After::Tag(_, rest) => match tag_value(rest) {
                    Some(Some(found)) => found,
                    Some(None) => return Look::Wait,
                    None => return Look::Malformed,
                },
                After::Perhaps => return Look::Wait,
                After::Other => return Look::Malformed,
            },
            Tags::Keys => {
                let Some(end) = text.find(|c: char| c.is_whitespace() || c == '<') else { return Look::Wait };
                match after(text[end..].trim_start(), &[KEY, self.end]) {
                    After::Tag(..) => (&text[..end], &text[end..]),
                    After::Perhaps => return Look::Wait,
                    After::Other => return Look::Malformed,
                }
            }
        };
        if name.is_empty() {
            return Look::Malformed;
        }
        outputs.push(Output::ToolCallStart(name.to_owned()));
        self.parameters = Parameters::of(&self.tools, name);
        self.pending = rest.to_owned();
        self.expect = Expect::ArgumentOrEnd;
        Look::Next
    }

    /// Between arguments. What is neither one nor the end is none of the call.
    fn argument(&mut self) -> Look {
        let text = self.pending.trim_start();
        let (name, rest) = match self.tags {
            Tags::Function => match after(text, &[PARAMETER, FUNCTION_END]) {
                After::Tag(FUNCTION_END, rest) => {
                    self.pending = rest.to_owned();
                    return Look::End;
                }
                After::Tag(_, rest) => match tag_value(rest) {
                    Some(Some(found)) => found,
                    Some(None) => return Look::Wait,
                    None => return Look::End,
                },
                After::Perhaps => return Look::Wait,
                After::Other => return Look::End,
            },
            Tags::Keys => match after(text, &[KEY, self.end]) {
                After::Tag(KEY, rest) => match rest.split_once(KEY_END) {
                    Some((name, rest)) => (name.trim(), rest),
                    None => return Look::Wait,
                },
                After::Perhaps => return Look::Wait,
                After::Tag(..) | After::Other => return Look::End,
            },
        };
        let name = name.to_owned();
        self.pending = rest.to_owned();
        self.expect = Expect::Value(name);
        Look::Next
    }

    fn value(&mut self, name: &str, outputs: &mut Vec<Output>) -> Look {
        let found = match self.tags {
            Tags::Function => self.pending.split_once(PARAMETER_END).map(|(value, rest)| {
                // Each value stands on lines of its own.
                let value = value.strip_prefix('\n').unwrap_or(value);
                (value.strip_suffix('\n').unwrap_or(value), rest)
            }),
            Tags::Keys => match after(self.pending.trim_start(), &[VALUE]) {
                After::Tag(_, rest) => rest.split_once(VALUE_END),
                After::Perhaps => None,
                After::Other => return Look::End,
            },
        };
        let Some((value, rest)) = found else { return Look::Wait };
        let open = if self.arguments == 0 { "{" } else { ", " };
        let value = self.parameters.json(name, value);
        outputs.push(Output::ToolCallArguments(format!("{open}{}: {value}", Json::from(name).dumps())));
        self.arguments += 1;
        self.pending = rest.to_owned();
        self.expect = Expect::ArgumentOrEnd;
        Look::Next
    }
}

/// What a text begins with.
enum After<'a> {
    /// This tag, and what follows it.
    Tag(&'static str, &'a str),
    /// Perhaps one of the tags, as more text may show.
    Perhaps,
    Other,
}

fn after<'a>(text: &'a str, tags: &[&'static str]) -> After<'a> {
    match tags.iter().find_map(|tag| Some((*tag, text.strip_prefix(tag)?))) {
        Some((tag, rest)) => After::Tag(tag, rest),
        None if tags.iter().any(|tag| tag.starts_with(text)) => After::Perhaps,
        None => After::Other,
    }
}

/// `name` and what follows of `name>...`; `Some(None)` where more text decides, none where it is no name.
fn tag_value(text: &str) -> Option<Option<(&str, &str)>> {
    let end = text.find(['>', '<', '\n']);
    match end.map(|end| (end, text.as_bytes()[end])) {
        None => Some(None),
        Some((end, b'>')) => Some(Some((text[..end].trim(), &text[end + 1..]))),
        Some(_) => None,
    }
}
