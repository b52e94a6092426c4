//! The languages that components are written in here.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use wasmlx::ErrorKind;

use super::failed;
use crate::failure::Result;

/// A language that components are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    C,
    Zig,
    Python,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
}

impl Language {
    pub(crate) const ALL: [Self; 5] = [Self::Rust, Self::C, Self::Zig, Self::Python, Self::JavaScript];

    /// The file by which a folder is known to hold a component in this language.
    pub(crate) fn entry(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::C => "component.c",
            Self::Zig => "component.zig",
            Self::Python => "component.py",
            Self::JavaScript => "component.js",
        }
    }

    /// The command that installs what builds it, in versions that the scaffolds and examples are written for.
    pub(crate) fn install(self) -> &'static str {
        match self {
            Self::Rust => "rustup target add wasm32-unknown-unknown",
            Self::C | Self::Zig => "pip install ziglang==0.17.0",
            Self::Python => "pip install componentize-py==0.25.1",
            Self::JavaScript => "npm install --global componentize-qjs@0.4.5",
        }
    }

    /// The language of what a folder holds, if it is known.
    ///
    /// # Errors
    /// `InvalidInput` where there are two.
    pub(super) fn of(folder: &Path) -> Result<Option<Self>> {
        let mut found = Self::ALL.into_iter().filter(|language| folder.join(language.entry()).is_file());
        match (found.next(), found.next()) {
            (Some(one), Some(other)) => Err(failed(
                ErrorKind::InvalidInput,
                format_args!("{} holds both {} and {}", folder.display(), one.entry(), other.entry()),
                "a component is written in one language; move the other file away",
            )),
            (found, _) => Ok(found),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Zig => "Zig",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_has_one_language() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), None);
        fs::write(folder.path().join("component.zig"), "").unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), Some(Language::Zig));
        fs::write(folder.path().join("component.py"), "").unwrap();
        assert!(Language::of(folder.path()).is_err());
    }
}
