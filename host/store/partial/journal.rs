//! KEY.json: a journal of what is there of a file, and the note that stays of a small one that is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PartialKey;
use crate::blobs::Blobs;
use crate::files::{UNFINISHED, io_error, read_bounded, remove_file};
use crate::lock::FileLock;
use crate::manifest::MANIFEST_BYTES;
use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Digest, StoreError};

/// What lies in KEY.json.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(default)]
    pub(super) ranges: Vec<(u64, u64)>,
    /// Of a file that git's hash was known of: its SHA-256, once it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<Digest>,
}

impl Journal {
    /// Whether it can be of a file of that size, of which so many bytes lie on the disk.
    pub(super) fn is_of(&self, size: u64, on_disk: u64) -> bool {
        let mut at = 0;
        let in_order = self.ranges.iter().all(|&(start, end)| {
            let follows = start >= at && start < end;
            at = end;
            follows
        });
        self.size == size && in_order && at <= size.min(on_disk)
    }
}

/// The digest of a file that is there whole.
pub(crate) fn complete(blobs: &Blobs, key: PartialKey, size: u64) -> Option<Digest> {
    let digest = match key {
        PartialKey::Sha256(digest) => digest,
        PartialKey::Git(_) => completed(blobs, key)?,
    };
    blobs.contains(&digest, size).then_some(digest)
}

/// The bytes of a file that are still to come, as far as can be told by who does not hold its lock.
pub(crate) fn needed(blobs: &Blobs, key: PartialKey, size: u64) -> u64 {
    if complete(blobs, key, size).is_some() {
        return 0;
    }
    let journal = read_journal(&journal_path(blobs, key)).filter(|journal| journal.size == size);
    let ranges = journal.map(|journal| journal.ranges).unwrap_or_default();
    ranges.iter().fold(size, |needed, (start, end)| needed.saturating_sub(end.saturating_sub(*start)))
}

/// The digest that a file known by git's hash had when it was whole.
pub(crate) fn completed(blobs: &Blobs, key: PartialKey) -> Option<Digest> {
    read_journal(&journal_path(blobs, key))?.complete
}

/// Takes note that a file known by git's hash is a blob, so that the blob is kept for whoever wants the file. False where
/// somebody fetches the file at this moment.
pub(crate) fn note(blobs: &Blobs, key: PartialKey, size: u64, digest: Digest) -> Result<bool, StoreError> {
    let lock_file = blobs.make_unfinished()?.join(format!("{key}.lock"));
    let Some(_lock) = FileLock::try_named(&lock_file)? else { return Ok(false) };
    write_note(blobs, key, size, digest)?;
    let _ = remove_file(&lock_file);
    Ok(true)
}

/// For who holds the file's lock.
pub(super) fn write_note(blobs: &Blobs, key: PartialKey, size: u64, digest: Digest) -> Result<(), StoreError> {
    let path = journal_path(blobs, key);
    let journal = Journal { size, complete: Some(digest), ..Journal::default() };
    write_journal(&path, &journal).map_err(|error| io_error("write", &path, &error))
}

/// It needs no way to the disk: see the top of [`super`].
pub(super) fn write_journal(path: &Path, journal: &Journal) -> io::Result<()> {
    let unfinished = path.with_added_extension(UNFINISHED);
    fs::write(&unfinished, to_versioned_json(journal)?)?;
    fs::rename(unfinished, path)
}

pub(super) fn journal_path(blobs: &Blobs, key: PartialKey) -> PathBuf {
    blobs.unfinished().join(format!("{key}.json"))
}

/// One that cannot be read is none: the file is fetched anew.
pub(super) fn read_journal(path: &Path) -> Option<Journal> {
    parse_versioned(&read_bounded(path, MANIFEST_BYTES).ok()?).ok()
}
