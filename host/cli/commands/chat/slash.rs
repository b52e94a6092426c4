//! The commands of `wasmlx chat`: what a line that begins with `/` means.

use serde_json::Value;
use wasmlx::Slot;

/// A command's name, its arguments in words, and what it does.
pub(crate) struct Help {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) does: &'static str,
}

/// All commands, in the order in which help lists them.
pub(crate) const COMMANDS: [Help; 11] = [
    help("/help", "", "this list"),
    help("/system", "[TEXT]", "set the system prompt; without TEXT, remove it"),
    help("/template", "COMPONENT", "write prompts with another template"),
    help("/sampler", "[COMPONENT]", "choose tokens with another policy; without COMPONENT, with the usual one"),
    help(
        "/swap",
        "SLOT COMPONENT [--force]",
        "put a component into a slot: template, sampler or chat; --force: without running its cases",
    ),
    help(
        "/set",
        "[NAME VALUE]",
        "a sampling parameter, max_tokens, seed, json_schema (a file; null for none), or options.NAME of the template; alone, show all",
    ),
    help("/save", "FILE", "write the conversation to a file"),
    help("/load", "FILE", "go on with a conversation that was saved"),
    help("/retry", "", "answer the last message anew"),
    help("/clear", "", "forget the conversation"),
    help("/quit", "", "leave; Ctrl-D does too"),
];

const fn help(name: &'static str, arguments: &'static str, does: &'static str) -> Help {
    Help { name, arguments, does }
}

/// A line of the user's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// Something to say.
    Message(String),
    Help,
    System(Option<String>),
    Swap(Slot, String),
    /// The same without running the component's own cases.
    ForceSwap(Slot, String),
    DefaultSampler,
    /// All settings are shown where there is none.
    Set(Option<(String, Value)>),
    Save(String),
    Load(String),
    Retry,
    Clear,
    Quit,
}

impl Line {
    /// Reads a line; an error says how to write it. A message that begins with a slash is written with two.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        match line.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => return Ok(Self::Message(rest.to_owned())),
            Some(_) => {}
            None => return Ok(Self::Message(line.to_owned())),
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let argument = || (!rest.is_empty()).then(|| rest.to_owned());
        let needed = || argument().ok_or_else(|| usage(name));
        let nothing = |line| if rest.is_empty() { Ok(line) } else { Err(usage(name)) };
        match name {
            "/help" => nothing(Self::Help),
            "/system" => Ok(Self::System(argument())),
            "/template" => Ok(Self::Swap(Slot::Template, needed()?)),
            "/sampler" => Ok(argument().map_or(Self::DefaultSampler, |policy| Self::Swap(Slot::Sampler, policy))),
            "/swap" => swap(rest),
            "/set" => set(rest),
            "/save" => Ok(Self::Save(needed()?)),
            "/load" => Ok(Self::Load(needed()?)),
            "/retry" => nothing(Self::Retry),
            "/clear" => nothing(Self::Clear),
            "/quit" | "/exit" => nothing(Self::Quit),
            _ => Err(format!("no command {name}; /help lists them, and //... says something that begins with a slash")),
        }
    }
}

fn swap(rest: &str) -> Result<Line, String> {
    let (slot, component) = rest.split_once(char::is_whitespace).ok_or_else(|| usage("/swap"))?;
    let slot = slot.parse().map_err(|_| usage("/swap"))?;
    let component = component.trim();
    Ok(match component.strip_suffix(" --force") {
        Some(component) => Line::ForceSwap(slot, component.trim_end().to_owned()),
        None => Line::Swap(slot, component.to_owned()),
    })
}

/// A value is JSON, or else a text: `/set temperature 0.5`, `/set options.reasoning_effort high`.
fn set(rest: &str) -> Result<Line, String> {
    if rest.is_empty() {
        return Ok(Line::Set(None));
    }
    let (name, value) = rest.split_once(char::is_whitespace).ok_or_else(|| usage("/set"))?;
    let value = value.trim();
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok(Line::Set(Some((name.to_owned(), value))))
}

fn usage(name: &str) -> String {
    let arguments = COMMANDS.iter().find(|help| help.name == name).map_or("", |help| help.arguments);
    format!("usage: {}", format!("{name} {arguments}").trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_mean_what_help_says() {
        let text = |text: &str| text.to_owned();
        let cases = [
            ("hello /there", Line::Message(text("hello /there"))),
            ("//etc is a folder", Line::Message(text("/etc is a folder"))),
            ("/system  Be brief. ", Line::System(Some(text("Be brief.")))),
            ("/system", Line::System(None)),
            ("/template chatml", Line::Swap(Slot::Template, text("chatml"))),
            ("/sampler classic", Line::Swap(Slot::Sampler, text("classic"))),
            ("/sampler", Line::DefaultSampler),
            ("/swap chat ./my chat.wasm", Line::Swap(Slot::Chat, text("./my chat.wasm"))),
            ("/swap chat x.wasm --force", Line::ForceSwap(Slot::Chat, text("x.wasm"))),
            ("/set temperature 0", Line::Set(Some((text("temperature"), json!(0))))),
            ("/set options.effort high", Line::Set(Some((text("options.effort"), json!("high"))))),
            ("/set", Line::Set(None)),
            ("/quit", Line::Quit),
        ];
        for (line, meaning) in cases {
            assert_eq!(Line::parse(line), Ok(meaning), "{line}");
        }
    }

    #[test]
    fn wrong_lines_say_how_to_write_them() {
        for line in
            ["/save", "/swap template", "/swap engine x", "/set temperature", "/clear all", "/template", "/nonsense"]
        {
            let error = Line::parse(line).unwrap_err();
            assert!(error.starts_with("usage: /") || error.starts_with("no command"), "{line}: {error}");
        }
    }

    #[test]
    fn every_command_of_the_list_is_known() {
        for help in &COMMANDS {
            let arguments = match help.name {
                "/swap" => " template x",
                "/set" => " x 1",
                name if help.arguments.is_empty() || name == "/system" => "",
                _ => " x",
            };
            assert!(Line::parse(&format!("{}{arguments}", help.name)).is_ok(), "{}", help.name);
        }
    }
}
