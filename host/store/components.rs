//! Components that were installed: their bytes by digest, and a name for each.
//!
//! ```text
//! components/sha256-HEX.wasm     the bytes, whose SHA-256 is their name
//! components/names/NAME.json     a ComponentEntry: which digest the name stands for, and what is known of it
//! components/lock                held by who writes, shared by who reads
//! ```
//!
//! A file appears whole or not at all: it is written under another name, brought to the disk and renamed. Bytes come
//! before the name that leads to them and go after it, so what is cut short leaves at most bytes without a name, which
//! the next change removes.

mod source;

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{files_with, io_error, make_folder, read_bounded, sync_folder, write_whole};
use crate::lock::{FileLock, OPENED_SO, read_only};
use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Digest, StoreError, StoreErrorKind};

pub use source::{ComponentSource, Signer};

/// The most bytes of an entry, and of a component.
const ENTRY_BYTES: u64 = 1 << 20;
pub(crate) const COMPONENT_BYTES: u64 = 256 << 20;

/// The least digits of a digest that stand for all.
const DIGEST_DIGITS: usize = 8;

/// What is known of an installed component. Its texts are for people, as whoever installed it wrote them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentEntry {
    /// What it is called: see [`is_component_name`].
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Which slot it is for, in words.
    pub kind: String,
    /// Its own version; empty where it says none.
    #[serde(default)]
    pub version: String,
    /// What it says of itself; empty where it says nothing.
    #[serde(default)]
    pub description: String,
    /// What it was measured to cost, in the form of whoever measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Value>,
    /// Where it came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ComponentSource>,
    /// Who signed it, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
}

/// What is installed.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub entries: Vec<ComponentEntry>,
    /// Names whose entry cannot be used, and why.
    pub broken: Vec<(String, StoreError)>,
}

/// The folder of installed components. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct InstalledComponents {
    folder: PathBuf,
    is_read_only: bool,
}

/// Whether something can be a component's name: at most 64 letters, digits, `-`, `_` and `.`, beginning with a letter
/// or digit. One that ends in `.wasm` would be taken for a file.
pub fn is_component_name(name: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(is_plain)
        && !name.ends_with(".wasm")
}

impl InstalledComponents {
    /// The components in a folder, which need not exist: it is made when something is installed.
    pub(crate) fn new(folder: PathBuf, is_read_only: bool) -> Self {
        Self { folder, is_read_only }
    }

    /// What is installed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Io`] where the folder cannot be read. An entry that is torn is no error of the others.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let _lock = self.lock_to_read()?;
        self.listing()
    }

    /// What a name stands for; none where nothing is installed by it.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidComponent`] for an entry that is torn; [`StoreErrorKind::Io`].
    pub fn find(&self, name: &str) -> Result<Option<ComponentEntry>, StoreError> {
        let _lock = self.lock_to_read()?;
        self.entry(name)
    }

    /// A component by its name, with its bytes, which are the ones that were installed; none where nothing is
    /// installed by that name.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidComponent`] where the bytes or the entry are torn or were changed;
    /// [`StoreErrorKind::Io`].
    pub fn read(&self, name: &str) -> Result<Option<(ComponentEntry, Vec<u8>)>, StoreError> {
        let _lock = self.lock_to_read()?;
        let Some(entry) = self.entry(name)? else { return Ok(None) };
        let path = self.blob(&entry.digest);
        let changed = |why: &str| {
            StoreError::new(
                StoreErrorKind::InvalidComponent,
                format!(
                    "the installed component {name} is not what was installed: {} {why}. It is not run; install it \
                     again",
                    path.display()
                ),
            )
        };
        let bytes = match read_bounded(&path, COMPONENT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed("is missing")),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        if Digest::of(&bytes).to_string() != entry.digest {
            return Err(changed("has other bytes than its name says"));
        }
        Ok(Some((entry, bytes)))
    }

    /// Installs a component by the entry's name, in place of what the name stood for; that one is returned. The
    /// entry's digest and size are made to be those of the bytes.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidName`] for what is no name, or differs from an installed one in case alone;
    /// [`StoreErrorKind::Io`]. Then all is as it was.
    pub fn add(&self, entry: ComponentEntry, bytes: &[u8]) -> Result<Option<ComponentEntry>, StoreError> {
        let entry = ComponentEntry { digest: Digest::of(bytes).to_string(), size: bytes.len() as u64, ..entry };
        if !is_component_name(&entry.name) {
            return Err(not_a_name(&entry.name));
        }
        let _lock = self.lock_to_write()?;
        let listing = self.listing()?;
        if let Some(same) = listing.names().find(|name| is_same_file(name, &entry.name)) {
            let message = format!(
                "a component {same} is installed; {} differs from it in case alone, which not every disk tells apart. \
                 Choose another name",
                entry.name
            );
            return Err(StoreError::new(StoreErrorKind::InvalidName, message));
        }
        let before = listing.entries.into_iter().find(|other| other.name == entry.name);
        let blob = self.blob(&entry.digest);
        // One that is there may be torn: it is written anew.
        write_whole(&blob, bytes).map_err(|error| io_error("write", &blob, &error))?;
        self.put(&entry)?;
        self.sweep()?;
        Ok(before)
    }

    /// Replaces what a name was measured to cost, unless it has come to stand for another digest meanwhile. Whether it
    /// was replaced.
    ///
    /// # Errors
    /// As [`InstalledComponents::find`].
    pub fn set_cost(&self, name: &str, digest: &str, cost: Value) -> Result<bool, StoreError> {
        let _lock = self.lock_to_write()?;
        match self.entry(name)? {
            Some(entry) if entry.digest == digest => {
                self.put(&ComponentEntry { cost: Some(cost), ..entry })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Removes a component by its name, or by its digest (`sha256-` and the digits, of which eight are enough) all
    /// names that it has. Bytes that another name stands for stay. The names that are gone.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::InvalidName`] for the beginning of several digests;
    /// [`StoreErrorKind::Io`].
    pub fn remove(&self, name_or_digest: &str) -> Result<Vec<String>, StoreError> {
        let _lock = self.lock_to_write()?;
        let listing = self.listing()?;
        let names = listing.named(name_or_digest)?;
        for name in &names {
            let path = self.name_file(name);
            fs::remove_file(&path).map_err(|error| io_error("remove", &path, &error))?;
        }
        sync_folder(&self.names()).map_err(|error| io_error("write", &self.names(), &error))?;
        self.sweep()?;
        Ok(names)
    }

    /// Writes an entry.
    fn put(&self, entry: &ComponentEntry) -> Result<(), StoreError> {
        let path = self.name_file(&entry.name);
        let written = to_versioned_json(entry).map_err(io::Error::from);
        written.and_then(|text| write_whole(&path, &text)).map_err(|error| io_error("write", &path, &error))
    }

    fn entry(&self, name: &str) -> Result<Option<ComponentEntry>, StoreError> {
        if !is_component_name(name) {
            return Ok(None);
        }
        let path = self.name_file(name);
        let text = match read_bounded(&path, ENTRY_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        let entry = parse(&text).and_then(|entry: ComponentEntry| match entry.name == name {
            true => Ok(entry),
            // On a disk that does not tell case apart this is another's.
            false if entry.name.eq_ignore_ascii_case(name) => Err(None),
            false => Err(Some("it is another's".to_owned())),
        });
        match entry {
            Ok(entry) => Ok(Some(entry)),
            Err(None) => Ok(None),
            Err(Some(why)) => Err(StoreError::new(
                StoreErrorKind::InvalidComponent,
                format!(
                    "the entry of the installed component {name}, {}, cannot be used: {why}. Install it again, or remove \
                     it",
                    path.display()
                ),
            )),
        }
    }

    fn listing(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for path in files_with(&self.names(), "json").map_err(|error| io_error("read", &self.names(), &error))? {
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            match self.entry(name) {
                Ok(entry) => listing.entries.extend(entry),
                Err(error) => listing.broken.push((name.to_owned(), error)),
            }
        }
        listing.entries.sort_by(|one, other| one.name.cmp(&other.name));
        listing.broken.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(listing)
    }

    /// Removes bytes that no name stands for, and what a process that ended left unfinished. For who holds the lock.
    fn sweep(&self) -> Result<(), StoreError> {
        let digests: Vec<String> = self.listing()?.entries.into_iter().map(|entry| entry.digest).collect();
        let in_folder =
            |extension| files_with(&self.folder, extension).map_err(|error| io_error("read", &self.folder, &error));
        let unfinished = files_with(&self.names(), "new").map_err(|error| io_error("read", &self.names(), &error))?;
        let mut gone = in_folder("new")?;
        gone.extend(unfinished);
        gone.extend(
            in_folder("wasm")?.into_iter().filter(|path| !digests.iter().any(|digest| *path == self.blob(digest))),
        );
        for path in gone {
            // What stays is in nobody's way, and is tried again at the next change.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Lets nobody read or write meanwhile.
    fn lock_to_write(&self) -> Result<FileLock, StoreError> {
        if self.is_read_only {
            return Err(read_only(&self.folder, OPENED_SO));
        }
        make_folder(&self.names())?;
        FileLock::exclusive(&self.folder.join("lock"))
    }

    /// Lets nobody write meanwhile. None where nothing was ever installed.
    fn lock_to_read(&self) -> Result<Option<FileLock>, StoreError> {
        FileLock::shared(&self.folder.join("lock"))
    }

    fn names(&self) -> PathBuf {
        self.folder.join("names")
    }

    fn name_file(&self, name: &str) -> PathBuf {
        self.names().join(format!("{name}.json"))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("sha256-{digest}.wasm"))
    }
}

impl Listing {
    /// All names, those whose entry cannot be used too.
    fn names(&self) -> impl Iterator<Item = &str> {
        let broken = self.broken.iter().map(|(name, _)| name.as_str());
        self.entries.iter().map(|entry| entry.name.as_str()).chain(broken)
    }

    /// The names that are meant by a name or a digest.
    fn named(&self, text: &str) -> Result<Vec<String>, StoreError> {
        if self.names().any(|name| name == text) {
            return Ok(vec![text.to_owned()]);
        }
        let digits = text.strip_prefix("sha256-").or_else(|| text.strip_prefix("sha256:")).unwrap_or(text);
        let is_digest = digits.len() >= DIGEST_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = digits.to_ascii_lowercase();
        let meant: Vec<&ComponentEntry> =
            self.entries.iter().filter(|entry| is_digest && entry.digest.starts_with(&digits)).collect();
        if meant.iter().any(|entry| entry.digest != meant[0].digest) {
            let message = format!("several digests begin with {digits}; write more of it");
            return Err(StoreError::new(StoreErrorKind::InvalidName, message));
        }
        if meant.is_empty() {
            let names: Vec<&str> = self.names().collect();
            let there =
                if names.is_empty() { "none is".to_owned() } else { format!("there are: {}", names.join(", ")) };
            let message = format!("no installed component has the name or digest {text:?}; {there}");
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        }
        Ok(meant.into_iter().map(|entry| entry.name.clone()).collect())
    }
}

/// Reads an entry. Somebody may have written into it: what would be shown or become a path is looked at.
fn parse(text: &[u8]) -> Result<ComponentEntry, Option<String>> {
    let entry: ComponentEntry = parse_versioned(text).map_err(Some)?;
    let is_digest = Digest::parse(&entry.digest).is_some();
    let has_controls = |text: &String| text.chars().any(char::is_control);
    let own = [&entry.kind, &entry.version, &entry.description].into_iter();
    let source = entry.source.iter().flat_map(ComponentSource::texts);
    let signer = entry.signer.iter().flat_map(|Signer { key, comment }| [key, comment]);
    if !is_digest || own.chain(source).chain(signer).any(has_controls) {
        return Err(Some("it was changed".to_owned()));
    }
    Ok(entry)
}

/// Whether two names are one file where the disk does not tell case apart.
fn is_same_file(one: &str, other: &str) -> bool {
    one != other && one.eq_ignore_ascii_case(other)
}

fn not_a_name(name: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::InvalidName,
        format!(
            "{name:?} is no name for a component: it is made of at most 64 letters, digits, `-`, `_` and `.`, begins \
             with a letter or digit, and does not end in .wasm"
        ),
    )
}

#[cfg(test)]
mod tests;
