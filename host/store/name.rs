//! What models are called: `[HOST/][NAMESPACE/]NAME[:TAG]`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{StoreError, StoreErrorKind};

/// The host of models from the Hugging Face hub, whichever mirror served them.
pub const HUB: &str = "huggingface.co";

/// The host of models that were imported.
pub const LOCAL: &str = "local";

/// The namespace of models that were imported.
const LOCAL_NAMESPACE: &str = "models";

/// The tag where none is said.
const DEFAULT_TAG: &str = "main";

/// The most bytes of each part, and of a tag as it is written in a file's name.
const PART_BYTES: usize = 96;
const TAG_FILE_BYTES: usize = 200;

/// A model's whole name. Whatever it was read from, it leads nowhere but into the store: its parts are made of letters,
/// digits, `-`, `_` and `.` and do not begin with a dot, and its tag is encoded where it becomes a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Name {
    host: String,
    namespace: String,
    name: String,
    tag: String,
}

/// A name as it lies in a manifest.
#[derive(Clone, Serialize, Deserialize)]
struct Parts {
    host: String,
    namespace: String,
    name: String,
    tag: String,
}

impl Name {
    /// Reads a name as users write it. One part names an import (`local/models/NAME`), two a repository of the Hugging
    /// Face hub, three say the host. What follows a colon is the tag, a revision; `main` where there is none.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidName`] says what a name is made of.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let (path, tag) = text.split_once(':').unwrap_or((text, DEFAULT_TAG));
        let parts: Vec<&str> = path.split('/').collect();
        let (host, namespace, name) = match parts[..] {
            [name] => (LOCAL, LOCAL_NAMESPACE, name),
            [namespace, name] => (HUB, namespace, name),
            [host, namespace, name] => (host, namespace, name),
            _ => return Err(not_a_name(text)),
        };
        let [host, namespace, name, tag] = [host, namespace, name, tag].map(str::to_owned);
        Self::try_from(Parts { host, namespace, name, tag }).map_err(|_| not_a_name(text))
    }

    /// The same model by another tag.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidName`] for what is no revision.
    pub fn with_tag(self, tag: &str) -> Result<Self, StoreError> {
        let Self { host, namespace, name, .. } = self;
        Self::try_from(Parts { host, namespace, name, tag: tag.to_owned() }).map_err(|_| {
            StoreError::new(
                StoreErrorKind::InvalidName,
                format!("{tag:?} is no revision: it is a branch, a tag or a commit of at most {PART_BYTES} bytes"),
            )
        })
    }

    /// Where it comes from: `huggingface.co`, `local`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Who has it there.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its last part, by which it is found where no other model has the same.
    pub fn short(&self) -> &str {
        &self.name
    }

    /// The revision as it was asked for.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// `NAMESPACE/NAME`: the repository's id on its hub.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether two names are the same where case does not count, and where `tagged` is false the tag neither.
    pub(crate) fn is_like(&self, other: &Self, tagged: bool) -> bool {
        let parts = [(&self.host, &other.host), (&self.namespace, &other.namespace), (&self.name, &other.name)];
        parts.into_iter().all(|(one, other)| one.eq_ignore_ascii_case(other)) && (!tagged || self.tag == other.tag)
    }

    /// `HOST/NAMESPACE/NAME/TAG`: where its manifest and its view lie, each under its own folder.
    pub(crate) fn path(&self) -> PathBuf {
        [&self.host, &self.namespace, &self.name, &encode_tag(&self.tag)].iter().collect()
    }

    /// The name that a path as of [`Name::path`] stands for; none of any other path.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let [host, namespace, name, tag] = parts?[..] else { return None };
        let tag = decode_tag(tag)?;
        let [host, namespace, name] = [host, namespace, name].map(str::to_owned);
        Self::try_from(Parts { host, namespace, name, tag }).ok().filter(|name| name.path() == path)
    }
}

impl TryFrom<Parts> for Name {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let Parts { host, namespace, name, tag } = parts;
        let are_plain = [&host, &namespace, &name].into_iter().all(|part| is_part(part));
        // What git allows in no revision is none.
        let is_foreign =
            |character: char| character.is_control() || character.is_whitespace() || "\\:~^?*[".contains(character);
        let is_tag = !tag.is_empty()
            && tag.len() <= PART_BYTES
            && !tag.contains(is_foreign)
            && encode_tag(&tag).len() <= TAG_FILE_BYTES;
        match are_plain && is_tag {
            true => Ok(Self { host, namespace, name, tag }),
            false => Err("not a model's name"),
        }
    }
}

impl From<Name> for Parts {
    fn from(name: Name) -> Self {
        let Name { host, namespace, name, tag } = name;
        Self { host, namespace, name, tag }
    }
}

/// As short as it can be read back.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.as_str(), self.namespace.as_str()) {
            (LOCAL, LOCAL_NAMESPACE) => {}
            (HUB, namespace) => write!(f, "{namespace}/")?,
            (host, namespace) => write!(f, "{host}/{namespace}/")?,
        }
        f.write_str(&self.name)?;
        if self.tag != DEFAULT_TAG {
            write!(f, ":{}", self.tag)?;
        }
        Ok(())
    }
}

/// Whether something can be a part of a name.
fn is_part(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !part.is_empty() && part.len() <= PART_BYTES && !part.starts_with('.') && part.bytes().all(is_plain)
}

/// A tag as a file's name: what is not a letter, digit, `-`, `_` or an inner dot becomes `%` and two digits a byte.
fn encode_tag(tag: &str) -> String {
    let mut encoded = String::new();
    for (index, byte) in tag.bytes().enumerate() {
        match byte {
            b'.' if index > 0 => encoded.push('.'),
            _ if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// What was encoded; none of what is no encoding.
fn decode_tag(encoded: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn not_a_name(text: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::InvalidName,
        format!(
            "{text:?} is no name of a model: it is NAME, OWNER/NAME or HOST/OWNER/NAME, and may be followed by a colon \
             and a revision. Each part has at most {PART_BYTES} letters, digits, `-`, `_` and `.`, and begins with no dot"
        ),
    )
}
