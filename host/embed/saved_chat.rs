//! A conversation at rest.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use wasmlx_components::Message;
use wasmlx_engine::SavedState;

use super::error::{Error, ErrorKind, Result};

/// A conversation that was saved: its messages, and what its chat component keeps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SavedChat {
    /// All messages, the system prompt included.
    pub messages: Vec<Message>,
    /// The chat component's own.
    pub state: SavedState,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct File {
    /// Of this form.
    version: u32,
    messages: Vec<Message>,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// In hexadecimal.
    bytes: String,
}

const VERSION: u32 = 1;

impl SavedChat {
    /// As a JSON text that people can read.
    pub fn to_json(&self) -> String {
        let mut bytes = String::with_capacity(self.state.bytes.len() * 2);
        for byte in &self.state.bytes {
            // Writing to a string does not fail.
            let _ = write!(bytes, "{byte:02x}");
        }
        let state = State { version: self.state.version, bytes };
        let file = File { version: VERSION, messages: self.messages.clone(), state };
        // Strings and numbers always serialise.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// Reads what [`SavedChat::to_json`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] says what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self> {
        let invalid = |why: &dyn std::fmt::Display| {
            Error::new(ErrorKind::InvalidInput, format_args!("this is no saved conversation: {why}"))
        };
        let file: File = serde_json::from_str(text).map_err(|error| invalid(&error))?;
        if file.version != VERSION {
            return Err(invalid(&format_args!("it has version {}, and this program knows {VERSION}", file.version)));
        }
        let bytes = from_hex(&file.state.bytes).ok_or_else(|| invalid(&"its state is not hexadecimal"))?;
        let state = SavedState { version: file.state.version, bytes };
        Ok(Self { messages: file.messages, state })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let saved = SavedChat {
            messages: vec![Message::system("Be brief."), Message::user("Hi"), Message::assistant("Hello.")],
            state: SavedState { version: 3, bytes: vec![0, 1, 127, 128, 255] },
        };
        assert_eq!(SavedChat::from_json(&saved.to_json()).unwrap(), saved);
    }

    #[test]
    fn what_is_none_is_refused() {
        let wrong = [
            "",
            "{}",
            r#"{"version": 2, "messages": [], "state": {"version": 0, "bytes": ""}}"#,
            r#"{"version": 1, "messages": [], "state": {"version": 0, "bytes": "0"}}"#,
            r#"{"version": 1, "messages": [], "state": {"version": 0, "bytes": "zz"}}"#,
        ];
        for text in wrong {
            assert_eq!(SavedChat::from_json(text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
