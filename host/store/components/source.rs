//! Where an installed component came from, and who signed it.

use std::fmt;
use std::path::{self, Path};

use serde::{Deserialize, Serialize};

/// Where a component came from. No part of it is a secret: addresses are kept without what follows `?`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ComponentSource {
    /// A file on this machine.
    File {
        /// Where it was.
        path: String,
    },
    /// An address.
    Url {
        /// The address.
        url: String,
    },
    /// A registry.
    Oci {
        /// What was asked for: `ghcr.io/owner/name:tag`.
        reference: String,
        /// The digest of the manifest that it stood for: `sha256:...`.
        manifest: String,
    },
}

impl ComponentSource {
    /// A file, wherever the program is started from. Control characters, which a name may have, are replaced.
    pub fn of_file(path: &Path) -> Self {
        let path = path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let shown = path.to_string_lossy();
        Self::File {
            path: shown.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect(),
        }
    }

    /// What it holds that is shown.
    pub(super) fn texts(&self) -> Vec<&String> {
        match self {
            Self::File { path } => vec![path],
            Self::Url { url } => vec![url],
            Self::Oci { reference, manifest } => vec![reference, manifest],
        }
    }
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => f.write_str(path),
            Self::Url { url } => f.write_str(url),
            Self::Oci { reference, .. } => write!(f, "oci://{reference}"),
        }
    }
}

/// Who signed a component, as far as its signature tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The public key that the user trusts, as minisign writes it: `RWQ...`.
    pub key: String,
    /// What was signed besides the bytes: by default when that was, and the file's name.
    #[serde(default)]
    pub comment: String,
}
