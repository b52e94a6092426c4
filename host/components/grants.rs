//! What the user grants a component: `http=api.example.org`, `read=./docs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::authority::Authority;

/// One thing that a user grants. It is given to a component that asks for it in its manifest, and to no other.
///
/// As text, on a command line for instance: `model=NAME`, `http=HOST[:PORT]`, `read=FOLDER`, `write=FOLDER`,
/// `kv=SPACE`, `env=NAME`, `store=read`, `tokens=N`. A folder is known to the component by what is written here, `./` and a last
/// `/` left out; `read=NAME=FOLDER` gives it another name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// A model besides the one that the user chose: a name in the store, or a folder, whose last part is its name.
    Model(String),
    /// To speak HTTP, with or without TLS, with this host: on this port, or where none is named on 80 and 443.
    ///
    /// An address of this machine or of a private network is reached where the grant names it as such: `localhost`,
    /// `127.0.0.1:8080`, `10.0.0.7`. A name of the DNS that resolves to one is not.
    Http(Authority),
    /// To read a folder and all that is in it.
    Read(GrantedFolder),
    /// To read and change a folder and all that is in it.
    Write(GrantedFolder),
    /// A key-value space of the component's own.
    KeyValue(String),
    /// An environment variable, by its name.
    Environment(String),
    /// To look into the store: which models there are, and what memory they would take.
    Store,
    /// The most tokens a minute that the component's generations may read and write, those in the cache left out. A
    /// limit, not a permission: it holds whether or not the component asks.
    Tokens(u32),
}

/// All that can be granted of the store.
pub(crate) const STORE: &str = "read";

/// A folder, and the name that a component knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedFolder {
    /// The component's name for it.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
}

/// A text that is no grant, in a sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidGrant(String);

/// What a user grants: nothing, until something is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, grant: Grant) -> Self {
        self.0.push(grant);
        self
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter()
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

impl Extend<Grant> for Grants {
    fn extend<I: IntoIterator<Item = Grant>>(&mut self, grants: I) {
        self.0.extend(grants);
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        const KINDS: &str = "model=, http=, read=, write=, kv=, env=, store= or tokens=";
        let wrong = |why: fmt::Arguments<'_>| InvalidGrant(format!("the grant `{text}`: {why}"));
        let Some((kind, value)) = text.split_once('=') else {
            return Err(wrong(format_args!("it begins with none of {KINDS}")));
        };
        if value.is_empty() {
            return Err(wrong(format_args!("it names nothing")));
        }
        // What is granted is named: `*` is for those who ask.
        if value == "*" {
            return Err(wrong(format_args!("what is granted is named, one by one")));
        }
        Ok(match kind {
            "model" => Self::Model(value.to_owned()),
            "http" => Self::Http(value.parse().map_err(|why: String| wrong(format_args!("{why}")))?),
            "read" => Self::Read(folder(value).map_err(|why| wrong(format_args!("{why}")))?),
            "write" => Self::Write(folder(value).map_err(|why| wrong(format_args!("{why}")))?),
            "kv" => Self::KeyValue(value.to_owned()),
            "env" if value.contains('=') => {
                return Err(wrong(format_args!("it takes the name of a variable, whose value is the host's")));
            }
            "env" => Self::Environment(value.to_owned()),
            "store" if value == STORE => Self::Store,
            "store" => return Err(wrong(format_args!("it takes `{STORE}`: the store is looked at, never changed"))),
            "tokens" => match value.parse() {
                Ok(tokens) if tokens > 0 => Self::Tokens(tokens),
                _ => return Err(wrong(format_args!("it takes the most tokens a minute, a whole number above 0"))),
            },
            _ => return Err(wrong(format_args!("it begins with none of {KINDS}"))),
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => write!(f, "model={name}"),
            Self::Http(authority) => write!(f, "http={authority}"),
            Self::Read(folder) => write!(f, "read={folder}"),
            Self::Write(folder) => write!(f, "write={folder}"),
            Self::KeyValue(space) => write!(f, "kv={space}"),
            Self::Environment(name) => write!(f, "env={name}"),
            Self::Store => write!(f, "store={STORE}"),
            Self::Tokens(count) => write!(f, "tokens={count}"),
        }
    }
}

impl fmt::Display for GrantedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, folder } = self;
        if folder_name(&folder.to_string_lossy()) == *name {
            write!(f, "{name}")
        } else {
            write!(f, "{name}={}", folder.display())
        }
    }
}

/// `FOLDER` or `NAME=FOLDER`.
fn folder(text: &str) -> Result<GrantedFolder, String> {
    let (name, folder) = match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => (folder_name(name), folder),
        Some(_) => return Err("a name or a folder is missing beside the `=`".to_owned()),
        None => (folder_name(text), text),
    };
    let leads_up = Path::new(&name).components().any(|part| part == std::path::Component::ParentDir);
    if leads_up {
        return Err("a component knows no `..`: give the folder a name, NAME=FOLDER".to_owned());
    }
    Ok(GrantedFolder { name, folder: PathBuf::from(folder) })
}

/// A folder's name as it is compared: `docs` of `./docs/`.
pub(crate) fn folder_name(text: &str) -> String {
    let plain = text.strip_prefix("./").unwrap_or(text);
    let plain = plain.strip_suffix('/').unwrap_or(plain);
    if plain.is_empty() && !text.starts_with('/') {
        return ".".to_owned();
    }
    if plain.is_empty() { "/".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_is_written_and_read() {
        for text in [
            "model=Qwen/Qwen3-0.6B",
            "http=api.example.org",
            "http=[::1]:8080",
            "read=docs",
            "write=out=/var/out",
            "kv=notes",
            "env=LANG",
            "store=read",
            "tokens=500",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
    }

    #[test]
    fn a_folder_is_named_as_it_is_written() {
        for (text, name, place) in [
            ("read=./docs/", "docs", "./docs/"),
            ("read=.", ".", "."),
            ("read=/srv/docs", "/srv/docs", "/srv/docs"),
            ("read=docs=../elsewhere", "docs", "../elsewhere"),
        ] {
            let Grant::Read(folder) = grant(text) else { panic!("{text}") };
            assert_eq!((folder.name.as_str(), folder.folder.as_path()), (name, Path::new(place)));
        }
        for text in ["read=..", "read=../docs", "write=a/../../b", "read==x", "read=x="] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_grant_is_refused_with_a_reason() {
        for (text, expected) in [
            ("http", "it begins with none of model=, http="),
            ("disk=all", "it begins with none of"),
            ("http=", "it names nothing"),
            ("http=*", "named, one by one"),
            ("http=https://a.org", "is no host"),
            ("store=write", "looked at, never changed"),
            ("tokens=0", "a whole number above 0"),
            ("tokens=-1", "a whole number above 0"),
            ("env=A=b", "the name of a variable"),
        ] {
            let error = text.parse::<Grant>().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
