//! JSON values.
//!
//! A JSON library would be half of a template that needs no other: these lines keep ChatML a component of 150 KB rather
//! than 230 KB, and every machine that installs one compiles it. They also read what Python reads (integers
//! beyond 64 bits, the nearest float) and spell it as Python does.

mod read;
mod write;

pub use read::SyntaxError;
pub use write::{escape, float};

/// Names and values, in order.
pub type Entries = Vec<(String, Json)>;

/// A JSON value. An object keeps the order of its entries; of two with one name the later counts, in the earlier's
/// place.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without a point or an exponent.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(Entries),
}

impl Json {
    /// Reads a text that is one value.
    ///
    /// # Errors
    /// Says what is wrong and where; values that nest more than 128 deep are refused.
    pub fn read(text: &str) -> Result<Json, SyntaxError> {
        read::read(text)
    }

    /// An object of these entries.
    pub fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
        Json::Object(entries.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The value under a name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.entries().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The entries of an object; of anything else, none.
    pub fn entries(&self) -> &[(String, Json)] {
        match self {
            Json::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; of anything else, none.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::Array(items) => items,
            _ => &[],
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value on one line, as `json.dumps(value, ensure_ascii=False)` spells it: `, ` and `: ` between elements.
    pub fn dumps(&self) -> String {
        write::dumps(self, None)
    }

    /// The value with each element on a line of its own, indented by this many spaces a level.
    pub fn dumps_indented(&self, indent: usize) -> String {
        write::dumps(self, Some(indent))
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::String(text)
    }
}
