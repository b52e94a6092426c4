//! What a component says of itself and asks for: `component.toml`, embedded in it as a custom section.
//!
//! ```toml
//! name = "weather"
//! version = "0.1.0"
//! description = "Says what to wear."
//! kind = "agent"          # template, policy, chat or agent
//! wasmlx = "0.1"          # the version of the interfaces
//!
//! [requests]              # each by the name that a grant has on the command line
//! model = ["qwen3-8b"]    # besides the one that the user chooses
//! http = ["api.example.org", "localhost:8080"]
//! read = ["docs"]
//! write = ["out"]
//! kv = ["notes"]
//! env = ["LANG"]
//! store = ["read"]        # which models there are
//! tokens = 20000          # a minute
//! ```
//!
//! A request gives nothing by itself: what the user granted besides is what a component gets. `"*"` in a list asks for
//! whatever the user names.

mod append;
mod section;

use std::fmt;

use serde::Deserialize;

pub use append::MANIFEST_SECTION;

use crate::grants::STORE;
use crate::world::{SERVED, is_served};
use crate::{ComponentError, ComponentErrorKind, ComponentKind, plain};

/// The most bytes of a manifest.
pub const MANIFEST_BYTES: usize = 64 << 10;

/// The most bytes of one text in it; of the description, four times as many.
const TEXT_BYTES: usize = 256;

/// The most entries of one list.
const ENTRIES: usize = 64;

/// What a component says of itself. Its texts have no control characters: they can be shown as they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
    pub name: String,
    /// Its own version: `1.2.3`, as semantic versioning writes one.
    pub version: String,
    /// A sentence or two for people.
    #[serde(default)]
    pub description: String,
    /// The world it was built for.
    pub kind: ComponentKind,
    /// The version of the interfaces that it was built for: `0.1`.
    pub wasmlx: String,
    /// What it asks for.
    #[serde(default)]
    pub requests: Requests,
}

/// What a component asks for. In each list `*` stands for whatever the user names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Requests {
    /// Models by name, besides the one that the user chose.
    pub model: Vec<String>,
    /// Hosts to speak HTTP with: `api.example.org`, `localhost:8080`. Without a port: whichever the user grants.
    pub http: Vec<String>,
    /// Folders to read, by the names that the component opens them by.
    pub read: Vec<String>,
    /// Folders to read and write.
    pub write: Vec<String>,
    /// Key-value spaces.
    pub kv: Vec<String>,
    /// Names of environment variables.
    pub env: Vec<String>,
    /// `read`: to look into the store.
    pub store: Vec<String>,
    /// The most tokens a minute that it means to use.
    pub tokens: Option<u32>,
}

impl Manifest {
    /// Reads the text of a `component.toml`.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidManifest`] says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ComponentError> {
        if text.len() > MANIFEST_BYTES {
            return Err(invalid(format_args!("it has {} bytes; {MANIFEST_BYTES} are allowed", text.len())));
        }
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            // It may quote the text, and the text anything.
            invalid(format_args!("line {line}: {}", plain::line(error.message().trim_end(), TEXT_BYTES)))
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest that a component carries; none where it carries none.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidManifest`], for bytes that are no component too.
    pub fn read(component: &[u8]) -> Result<Option<Self>, ComponentError> {
        let Some(content) = section::find(component).map_err(invalid)? else { return Ok(None) };
        if content.len() > MANIFEST_BYTES {
            return Err(invalid(format_args!("it has {} bytes; {MANIFEST_BYTES} are allowed", content.len())));
        }
        let text = std::str::from_utf8(content).map_err(|error| invalid(format_args!("it is no text: {error}")))?;
        Self::parse(text).map(Some)
    }

    /// The manifest of a component of this name and world.
    pub(crate) fn of(name: &str, kind: ComponentKind, component: &[u8]) -> Result<Option<Self>, ComponentError> {
        let manifest = Self::read(component).map_err(|error| error.of(name))?;
        match &manifest {
            Some(manifest) if manifest.kind != kind => {
                let (said, is) = (manifest.kind.with_article(), kind.with_article());
                Err(invalid(format_args!("it says that this is {said}; its world is that of {is}")).of(name))
            }
            _ => Ok(manifest),
        }
    }

    /// The component with the text of this manifest in it, in place of one that it has.
    ///
    /// # Errors
    /// As [`Manifest::parse`]; where the bytes are no component.
    pub fn embed(text: &str, component: &[u8]) -> Result<Vec<u8>, ComponentError> {
        Self::parse(text)?;
        section::put(component, text.as_bytes()).map_err(invalid)
    }

    /// What TOML and the types leave open.
    fn check(&self) -> Result<(), ComponentError> {
        let begins = self.name.starts_with(|character: char| character.is_ascii_alphanumeric());
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if !begins || self.name.len() > TEXT_BYTES / 4 || !self.name.chars().all(is_plain) {
            return Err(invalid(
                "`name` is made of at most 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
            ));
        }
        if !is_version(&self.version) {
            return Err(invalid("`version` is three numbers with dots between, such as 0.1.0"));
        }
        if !is_served(&self.wasmlx) {
            let wanted = plain::line(&self.wasmlx, TEXT_BYTES);
            return Err(invalid(format_args!("it is for wasmlx {wanted}; this host serves {SERVED}")));
        }
        text("description", &self.description, 4 * TEXT_BYTES)?;
        for (name, list) in self.requests.lists() {
            if list.len() > ENTRIES {
                return Err(invalid(format_args!("`{name}` has {} entries; {ENTRIES} are allowed", list.len())));
            }
            for entry in list {
                if entry.is_empty() {
                    return Err(invalid(format_args!("`{name}` has an empty entry")));
                }
                text(name, entry, TEXT_BYTES)?;
            }
        }
        if self.requests.store.iter().any(|entry| !matches!(entry.as_str(), STORE | "*")) {
            return Err(invalid(format_args!("`store` takes \"{STORE}\": the store is looked at, never changed")));
        }
        let unusable =
            self.requests.lists().into_iter().find(|(name, list)| !list.is_empty() && !self.kind.may_ask_for(name));
        if let Some((name, _)) = unusable {
            return Err(invalid(format_args!(
                "`{name}` is asked for by {}, whose world has nothing of the kind",
                self.kind.with_article()
            )));
        }
        Ok(())
    }
}

impl Requests {
    /// Each list by its name.
    fn lists(&self) -> [(&'static str, &[String]); 7] {
        let Self { model, http, read, write, kv, env, store, tokens: _ } = self;
        [("model", model), ("http", http), ("read", read), ("write", write), ("kv", kv), ("env", env), ("store", store)]
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_none() && self.lists().iter().all(|(_, list)| list.is_empty())
    }
}

impl ComponentKind {
    /// Whether a component of this kind has a use for what a list of requests asks for.
    fn may_ask_for(self, list: &str) -> bool {
        match self {
            Self::Template | Self::Policy => false,
            Self::Chat => matches!(list, "model" | "store"),
            Self::Agent => true,
        }
    }
}

/// `1.2.3`, with what semantic versioning allows behind it.
fn is_version(version: &str) -> bool {
    let (numbers, rest) = version.split_at(version.find(['-', '+']).unwrap_or(version.len()));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-+.".contains(character);
    version.len() <= TEXT_BYTES / 4
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && rest.chars().all(is_plain)
}

fn text(name: &str, text: &str, most: usize) -> Result<(), ComponentError> {
    if text.len() > most {
        return Err(invalid(format_args!("a text of `{name}` has {} bytes; {most} are allowed", text.len())));
    }
    if text.chars().any(plain::is_unfit) {
        return Err(invalid(format_args!("a text of `{name}` has control characters")));
    }
    Ok(())
}

fn invalid(why: impl fmt::Display) -> ComponentError {
    ComponentError::new(ComponentErrorKind::InvalidManifest, "", format!("the manifest (component.toml): {why}"))
}

#[cfg(test)]
mod tests;
