//! A file that is being fetched: what of it is on the disk, what is missing, and its hash.
//!
//! ```text
//! blobs/partial/KEY.part   the bytes, at their places
//! blobs/partial/KEY.json   a journal of the ranges that were written
//! blobs/partial/KEY.lock   held while somebody fetches it
//! ```
//!
//! The journal runs at most some MiB behind the file, never before it, so a process may end at any moment; a machine
//! that loses power may lose bytes of which the journal tells. Nothing depends on that: all bytes are hashed before the
//! file becomes a blob. They are hashed while they come, as far as they are there without a gap, and brought to the disk
//! while others come.

mod journal;
mod shared;

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blobs::{Blobs, Kept};
use crate::digest::Hasher;
use crate::files::{io_error, remove_file};
use crate::lock::FileLock;
use crate::{Digest, GitHash, Monitor, StoreError, StoreErrorKind};

use journal::{journal_path, read_journal, write_note};
use shared::{Shared, write_all_at};

pub(crate) use journal::{complete, completed, needed, note};

/// What a file is known by before it is there, and checked by when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PartialKey {
    /// Its SHA-256: files in a hub's large file storage.
    Sha256(Digest),
    /// Its name in git: small files of a hub.
    Git(GitHash),
}

impl PartialKey {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let sha256 = || text.strip_prefix("sha256-").and_then(Digest::parse).map(Self::Sha256);
        let git = || text.strip_prefix("git-").and_then(GitHash::parse).map(Self::Git);
        sha256().or_else(git)
    }
}

impl fmt::Display for PartialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256-{digest}"),
            Self::Git(hash) => write!(f, "git-{hash}"),
        }
    }
}

impl Serialize for PartialKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartialKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no key of a file"))
    }
}

/// What asking for a file to fetch comes to.
pub enum Opened {
    /// It is to be fetched.
    Partial(Partial),
    /// It is there whole: somebody else has fetched it.
    Complete(Digest),
}

/// A file that this process alone fetches. What was fetched stays when it is dropped. It may be used from several
/// threads at once.
pub struct Partial {
    blobs: Blobs,
    key: PartialKey,
    shared: Arc<Shared>,
    /// Hashes what is there without a gap; none once it was joined, as with the next two.
    follower: Option<JoinHandle<io::Result<Hasher>>>,
    /// Writes the journal of a large file.
    keeper: Option<JoinHandle<()>>,
    /// Brings a large file to the disk.
    settler: Option<JoinHandle<()>>,
    lock: Option<FileLock>,
}

impl Partial {
    /// A file to fetch, with what of it is there already. Where another process fetches it, `waiting` is called once
    /// and its end waited for.
    ///
    /// # Errors
    /// [`StoreErrorKind::Cancelled`]; what files fail with.
    pub fn open(
        blobs: &Blobs,
        key: PartialKey,
        size: u64,
        waiting: &dyn Fn(),
        monitor: &Monitor<'_>,
    ) -> Result<Opened, StoreError> {
        let folder = blobs.make_unfinished()?;
        let lock_file = folder.join(format!("{key}.lock"));
        let lock = FileLock::wait_named(&lock_file, waiting, monitor)?;
        if let Some(digest) = complete(blobs, key, size) {
            // Whoever waits for the lock looks at the file's name next.
            let _ = remove_file(&lock_file);
            return Ok(Opened::Complete(digest));
        }
        let (path, journal) = (folder.join(format!("{key}.part")), journal_path(blobs, key));
        let open = || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            let on_disk = file.metadata()?.len();
            let known = read_journal(&journal).filter(|journal| journal.is_of(size, on_disk));
            if known.is_none() {
                file.set_len(0)?;
            }
            file.set_len(size)?;
            Ok((file, known.unwrap_or_default()))
        };
        let (file, known) = open().map_err(|error| io_error("write", &path, &error))?;
        let shared = Arc::new(Shared::new(file, size, key, journal, known));
        let (blobs, lock) = (blobs.clone(), Some(lock));
        let mut partial = Self { blobs, key, shared, follower: None, keeper: None, settler: None, lock };
        partial.start().map_err(|error| io_error("hash", &path, &error))?;
        Ok(Opened::Partial(partial))
    }

    /// Starts the threads.
    fn start(&mut self) -> io::Result<()> {
        self.follower = Some(self.shared.start_hashing()?);
        self.keeper = self.shared.start_keeping()?;
        self.settler = self.shared.start_settling()?;
        Ok(())
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.shared.size
    }

    /// Bytes that are there.
    pub fn done(&self) -> u64 {
        self.shared.lock().ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// What is still to be fetched, in order. Whoever fetches it from the beginning on has it hashed meanwhile.
    pub fn missing(&self) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = 0;
        for range in &self.shared.lock().ranges {
            if range.start > at {
                missing.push(at..range.start);
            }
            at = range.end;
        }
        if at < self.shared.size {
            missing.push(at..self.shared.size);
        }
        missing
    }

    /// What the server called the version of the file that is there, where it was said.
    pub fn etag(&self) -> Option<String> {
        self.shared.lock().etag.clone()
    }

    /// Writes bytes at their place and records them.
    ///
    /// # Errors
    /// [`StoreErrorKind::NoSpace`], [`StoreErrorKind::Io`]; [`StoreErrorKind::Corrupt`] for more than the file has.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= self.shared.size);
        let end = end.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Corrupt,
                format!("more came than the {} bytes that the file is said to have", self.shared.size),
            )
        })?;
        write_all_at(&self.shared.file, bytes, offset).map_err(|error| self.io_error("write", &error))?;
        self.record(offset..end)
    }

    /// Takes note of bytes that were written.
    ///
    /// # Errors
    /// [`StoreErrorKind::NoSpace`], [`StoreErrorKind::Io`] where the journal, or what has come, cannot be brought to the
    /// disk.
    pub fn record(&self, range: Range<u64>) -> Result<(), StoreError> {
        self.shared.record(range).map_err(|error| self.io_error("write", &error))
    }

    /// Begins anew: the server has another version of the file, which it calls `etag`. On a file of which nothing is
    /// there it only takes note of that.
    ///
    /// # Errors
    /// [`StoreErrorKind::NoSpace`], [`StoreErrorKind::Io`].
    pub fn reset(&self, etag: Option<String>) -> Result<(), StoreError> {
        self.shared.reset(etag).map_err(|error| self.io_error("write", &error))
    }

    /// Makes the file a blob: all of it must be there, and be what its key says.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] where it is not: what was fetched is discarded then. [`StoreErrorKind::NoSpace`],
    /// [`StoreErrorKind::Io`].
    pub fn finish(mut self) -> Result<Digest, StoreError> {
        self.shared.close();
        if let Some(settler) = self.settler.take() {
            let _ = settler.join();
            // The rest, while what is not hashed yet is.
            self.shared.settle().map_err(|error| self.io_error("write", &error))?;
        }
        self.shared.lock().check().map_err(|error| self.io_error("write", &error))?;
        let missing = self.missing();
        if let Some(range) = missing.first() {
            let Range { start, end } = range;
            return Err(StoreError::new(StoreErrorKind::Corrupt, format!("bytes {start} to {end} have not come")));
        }
        let hasher = self.join().map_err(|error| self.io_error("read", &error))?;
        let (digest, git) = hasher.finish();
        let is_right = match self.key {
            PartialKey::Sha256(expected) => expected == digest,
            PartialKey::Git(expected) => git == Some(expected),
        };
        if !is_right {
            self.discard();
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                format!("what came is not {}: its SHA-256 is {digest}. It was discarded", self.key),
            ));
        }
        if matches!(self.key, PartialKey::Git(_)) {
            write_note(&self.blobs, self.key, self.shared.size, digest)?;
        }
        self.blobs.insert_file(&self.path("part"), &digest, Kept::Own)?;
        if matches!(self.key, PartialKey::Sha256(_)) {
            // What stays is swept later.
            let _ = remove_file(&self.journal());
        }
        self.let_go();
        Ok(digest)
    }

    /// Forgets what was fetched.
    pub fn discard(&mut self) {
        let _ = self.join();
        for path in [self.path("part"), self.journal()] {
            // What stays is looked at when it is next fetched, and hashed at its end.
            let _ = remove_file(&path);
        }
        self.let_go();
    }

    /// Removes the lock's file and lets go of it.
    fn let_go(&mut self) {
        let _ = remove_file(&self.path("lock"));
        self.lock = None;
    }

    /// Ends the threads; who hashes comes to the end of the file first where all is there. Who brings bytes to the disk
    /// may be at it for long, and changes nothing by it: only [`finish`](Self::finish) waits for that.
    fn join(&mut self) -> io::Result<Hasher> {
        self.shared.close();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        let Some(follower) = self.follower.take() else { return Err(io::Error::other("it is closed")) };
        follower.join().unwrap_or_else(|_| Err(io::Error::other("the hashing thread panicked")))
    }

    fn journal(&self) -> PathBuf {
        journal_path(&self.blobs, self.key)
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.blobs.unfinished().join(format!("{}.{extension}", self.key))
    }

    fn io_error(&self, what: &str, error: &io::Error) -> StoreError {
        io_error(what, &self.path("part"), error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = self.join();
        if self.lock.is_some() {
            // The next one to fetch it goes on from the journal before.
            let _ = self.shared.save();
        }
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial").field("key", &self.key).field("size", &self.shared.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
