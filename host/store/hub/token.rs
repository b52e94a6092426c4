//! The user's token: where it is found, and that it is not shown.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

/// The most bytes of a file with a token in it.
const TOKEN_BYTES: u64 = 4096;

/// A secret that says to a hub who asks. It appears in no message and no log: there is no way to read it back but the
/// header that is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, spaces around it left out. None where that is no token: nothing, or characters that a header cannot
    /// have.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }

    /// The one that the environment has, as `huggingface_hub` looks for it: `HF_TOKEN`, else the file of
    /// `HF_TOKEN_PATH`, else `token` in `HF_HOME`, which is `~/.cache/huggingface` where nothing else is said.
    pub(super) fn find(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(token) = set("HF_TOKEN").and_then(|value| Self::named("HF_TOKEN", value.to_str()?)) {
            return Some(token);
        }
        let file = set("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| {
            let home = set("HF_HOME").map(PathBuf::from);
            let cache =
                || set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".cache")));
            Some(home.or_else(|| Some(cache()?.join("huggingface")))?.join("token"))
        })?;
        let mut text = String::new();
        // Most users have none.
        File::open(&file).ok()?.take(TOKEN_BYTES).read_to_string(&mut text).ok()?;
        Self::named(&file.display().to_string(), &text)
    }

    /// A token that the user put somewhere, who is told where it is none.
    fn named(place: &str, text: &str) -> Option<Self> {
        let token = Self::new(text);
        if token.is_none() && !text.trim().is_empty() {
            tracing::warn!("what {place} has is no token, and is not used");
        }
        token
    }

    /// `Authorization`, marked so that no log of HTTP shows it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a token, not shown)")
    }
}
