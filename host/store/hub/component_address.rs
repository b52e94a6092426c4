//! Where a component is to be had: a file, an address, a registry.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci_client::Reference;
use url::Url;

use super::options::is_confidential;
use crate::{StoreError, StoreErrorKind};

/// What precedes a reference to a registry.
const OCI: &str = "oci://";

/// Where a component is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentAddress {
    /// A file on this machine.
    File(PathBuf),
    /// An `https://` address; on this machine also `http://`.
    Url(Url),
    /// An artifact of an OCI registry, as `wkg` and `oras` push them: `oci://ghcr.io/owner/name:tag` or `...@sha256:HEX`.
    Oci(Reference),
}

impl ComponentAddress {
    /// Whether something that a user wrote leads elsewhere: to an address or to a registry.
    pub fn is_remote(text: &str) -> bool {
        [OCI, "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// What it is called, where nothing in it says so: the file's name without `.wasm`, the repository's last part.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Url(url) => url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or("").to_owned(),
            Self::Oci(reference) => reference.repository().rsplit('/').next().unwrap_or("").to_owned(),
        };
        name.strip_suffix(".wasm").map(str::to_owned).unwrap_or(name)
    }

    /// Where its signature is by minisign's own habit. An artifact of a registry has it in itself.
    pub(super) fn signature(&self) -> Option<Self> {
        match self {
            Self::File(path) => {
                let mut path = path.clone().into_os_string();
                path.push(".minisig");
                Some(Self::File(path.into()))
            }
            Self::Url(url) => {
                let mut url = url.clone();
                url.set_path(&format!("{}.minisig", url.path()));
                Some(Self::Url(url))
            }
            Self::Oci(_) => None,
        }
    }
}

impl FromStr for ComponentAddress {
    type Err = StoreError;

    /// Reads what a user wrote.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for an address that is none, has a password in it, or is not encrypted.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        // What was written is not repeated where it may hold a password.
        let refused = |message: &str| Err(StoreError::new(StoreErrorKind::InvalidInput, message));
        if let Some(reference) = text.strip_prefix(OCI) {
            return match reference.parse() {
                Ok(reference) => Ok(Self::Oci(reference)),
                Err(_) => refused(
                    "that is no reference to a registry; write one such as oci://ghcr.io/owner/name:1.0 or \
                     oci://ghcr.io/owner/name@sha256:...",
                ),
            };
        }
        if !Self::is_remote(text) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let Some(url) = Url::parse(text).ok().filter(Url::has_host) else { return refused("that is no address") };
        if !url.username().is_empty() || url.password().is_some() {
            return refused(
                "an address with a user or a password in it is not asked; download the file by other means",
            );
        }
        if !is_confidential(&url) {
            return refused(
                "an http:// address is asked on this machine alone, since anybody on the way may put another component in \
                 its place; write https://",
            );
        }
        Ok(Self::Url(url))
    }
}

impl From<&Path> for ComponentAddress {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

/// As it may be shown and kept.
impl fmt::Display for ComponentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.fmt(f)
            }
            Self::Oci(reference) => write!(f, "{OCI}{reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_writes_is_told_apart() {
        let read = |text: &str| text.parse::<ComponentAddress>();
        assert_eq!(read("a/b.wasm").unwrap(), ComponentAddress::File("a/b.wasm".into()));
        let url = read("https://example.org/dir/thing.wasm?token=secret#here").unwrap();
        assert_eq!((url.name().as_str(), url.to_string().as_str()), ("thing", "https://example.org/dir/thing.wasm"));
        assert_eq!(url.signature().unwrap().to_string(), "https://example.org/dir/thing.wasm.minisig");
        let oci = read("oci://ghcr.io/owner/name:1.0").unwrap();
        assert_eq!((oci.name().as_str(), oci.to_string().as_str()), ("name", "oci://ghcr.io/owner/name:1.0"));
        assert!(read("http://localhost:8080/a.wasm").is_ok() && read("http://127.0.0.1/a.wasm").is_ok());
        for text in ["http://example.org/a.wasm", "https://me:secret@example.org/a.wasm", "https://", "oci://A B"] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::InvalidInput, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
