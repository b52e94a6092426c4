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
//! file becomes a blob. They are hashed while they come, as far as they are there without a gap.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blobs::{Blobs, Kept};
use crate::digest::Hasher;
use crate::files::{UNFINISHED, io_error, read_bounded, remove_file};
use crate::hashing::HASH_BUFFER;
use crate::lock::FileLock;
use crate::manifest::MANIFEST_BYTES;
use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Digest, GitHash, Monitor, StoreError, StoreErrorKind};

/// The journal is written whenever so many bytes were recorded since. Some file systems bring a file that takes the place
/// of another to the disk at once, so each time takes milliseconds.
const JOURNAL_EVERY: u64 = 8 << 20;

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
    /// Hashes what is there without a gap; none once it was joined.
    follower: Option<JoinHandle<io::Result<Hasher>>>,
    lock: Option<FileLock>,
}

struct Shared {
    file: File,
    size: u64,
    key: PartialKey,
    journal: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// In order, apart from each other.
    ranges: Vec<Range<u64>>,
    etag: Option<String>,
    /// Bytes that were recorded since the journal was written.
    unsaved: u64,
    /// How often everything was begun anew.
    resets: u64,
    /// The follower is to end, where it is or, once all is there, at the end of the file.
    is_closed: bool,
}

/// What lies in KEY.json.
#[derive(Default, Serialize, Deserialize)]
struct Journal {
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default)]
    ranges: Vec<(u64, u64)>,
    /// Of a file that git's hash was known of: its SHA-256, once it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complete: Option<Digest>,
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
        let state = State {
            ranges: known.ranges.into_iter().map(|(start, end)| start..end).collect(),
            etag: known.etag,
            unsaved: 0,
            resets: 0,
            is_closed: false,
        };
        let shared = Arc::new(Shared { file, size, key, journal, state: Mutex::new(state), changed: Condvar::new() });
        let follow = Arc::clone(&shared);
        let follower = thread::Builder::new().name("wasmlx-hash".to_owned()).spawn(move || follow.follow());
        let follower = follower.map_err(|error| io_error("hash", &path, &error))?;
        Ok(Opened::Partial(Self { blobs: blobs.clone(), key, shared, follower: Some(follower), lock: Some(lock) }))
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
    /// [`StoreErrorKind::NoSpace`], [`StoreErrorKind::Io`] where the journal cannot be written.
    pub fn record(&self, range: Range<u64>) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        state.unsaved += range.end.saturating_sub(range.start);
        insert(&mut state.ranges, range);
        self.shared.changed.notify_all();
        match state.unsaved >= JOURNAL_EVERY {
            true => self.shared.save(&mut state).map_err(|error| self.io_error("write", &error)),
            false => Ok(()),
        }
    }

    /// Begins anew: the server has another version of the file, which it calls `etag`. On a file of which nothing is
    /// there it only takes note of that.
    ///
    /// # Errors
    /// [`StoreErrorKind::NoSpace`], [`StoreErrorKind::Io`].
    pub fn reset(&self, etag: Option<String>) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        state.etag = etag;
        state.ranges.clear();
        state.resets += 1;
        self.shared.changed.notify_all();
        self.shared.save(&mut state).map_err(|error| self.io_error("write", &error))
    }

    /// Makes the file a blob: all of it must be there, and be what its key says.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] where it is not: what was fetched is discarded then. [`StoreErrorKind::NoSpace`],
    /// [`StoreErrorKind::Io`].
    pub fn finish(mut self) -> Result<Digest, StoreError> {
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
            let _ = remove_file(&self.shared.journal);
        }
        self.let_go();
        Ok(digest)
    }

    /// Forgets what was fetched.
    pub fn discard(&mut self) {
        let _ = self.join();
        for path in [self.path("part"), self.shared.journal.clone()] {
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

    /// Ends the follower, which first hashes to the end of the file where all is there.
    fn join(&mut self) -> io::Result<Hasher> {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        let Some(follower) = self.follower.take() else { return Err(io::Error::other("it is closed")) };
        follower.join().unwrap_or_else(|_| Err(io::Error::other("the hashing thread panicked")))
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
        if self.follower.is_some() {
            let _ = self.join();
        }
        if self.lock.is_some() {
            // The next one to fetch it goes on from the journal before.
            let _ = self.shared.save(&mut self.shared.lock());
        }
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial").field("key", &self.key).field("size", &self.shared.size).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each use leaves a whole value behind, even where it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the journal.
    fn save(&self, state: &mut State) -> io::Result<()> {
        let ranges = state.ranges.iter().map(|range| (range.start, range.end)).collect();
        let journal = Journal { size: self.size, etag: state.etag.clone(), ranges, complete: None };
        write_journal(&self.journal, &journal)?;
        state.unsaved = 0;
        Ok(())
    }

    /// Hashes what is there from the beginning on, until it is closed.
    fn follow(&self) -> io::Result<Hasher> {
        let start = || match self.key {
            PartialKey::Sha256(_) => Hasher::new(),
            PartialKey::Git(_) => Hasher::with_git(self.size),
        };
        let mut buffer = vec![0; HASH_BUFFER];
        let (mut hasher, mut hashed, mut resets) = (start(), 0, 0);
        loop {
            let mut state = self.lock();
            let there = loop {
                if state.resets != resets {
                    (hasher, hashed, resets) = (start(), 0, state.resets);
                }
                let there = state.ranges.first().filter(|first| first.start == 0).map_or(0, |first| first.end);
                if there > hashed && (!state.is_closed || there == self.size) {
                    break there;
                }
                if state.is_closed {
                    return Ok(hasher);
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let length = usize::try_from(there - hashed).map_or(HASH_BUFFER, |length| length.min(HASH_BUFFER));
            read_exact_at(&self.file, &mut buffer[..length], hashed)?;
            hasher.update(&buffer[..length]);
            hashed += length as u64;
        }
    }
}

impl Journal {
    /// Whether it can be of a file of that size, of which so many bytes lie on the disk.
    fn is_of(&self, size: u64, on_disk: u64) -> bool {
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
fn write_note(blobs: &Blobs, key: PartialKey, size: u64, digest: Digest) -> Result<(), StoreError> {
    let path = journal_path(blobs, key);
    let journal = Journal { size, complete: Some(digest), ..Journal::default() };
    write_journal(&path, &journal).map_err(|error| io_error("write", &path, &error))
}

/// It needs no way to the disk: see the top of this file.
fn write_journal(path: &Path, journal: &Journal) -> io::Result<()> {
    let unfinished = path.with_added_extension(UNFINISHED);
    fs::write(&unfinished, to_versioned_json(journal)?)?;
    fs::rename(unfinished, path)
}

fn journal_path(blobs: &Blobs, key: PartialKey) -> PathBuf {
    blobs.unfinished().join(format!("{key}.json"))
}

/// One that cannot be read is none: the file is fetched anew.
fn read_journal(path: &Path) -> Option<Journal> {
    parse_versioned(&read_bounded(path, MANIFEST_BYTES).ok()?).ok()
}

/// Adds a range to those that are in order and apart from each other.
fn insert(ranges: &mut Vec<Range<u64>>, new: Range<u64>) {
    if new.is_empty() {
        return;
    }
    let first = ranges.partition_point(|range| range.end < new.start);
    let last = ranges.partition_point(|range| range.start <= new.end);
    let merged = match ranges.get(first..last) {
        Some([one, .., other]) => new.start.min(one.start)..new.end.max(other.end),
        Some([one]) => new.start.min(one.start)..new.end.max(one.end),
        _ => new,
    };
    ranges.splice(first..last, [merged]);
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        (bytes, offset) = (&bytes[count..], offset + count as u64);
    }
    Ok(())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => (bytes, offset) = (&mut bytes[count..], offset + count as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
