//! What is there of a file, and the threads that work at it while it comes: one hashes, one keeps the journal, one brings
//! bytes to the disk. Whoever brings them in waits for none of these.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::PartialKey;
use super::journal::{Journal, write_journal};
use crate::digest::Hasher;
use crate::hashing::HASH_BUFFER;

/// The journal is written whenever so many bytes were recorded since. Some file systems bring a file that takes the place
/// of another to the disk at once, so each time takes milliseconds.
pub(super) const JOURNAL_EVERY: u64 = 8 << 20;

/// The file is brought to the disk whenever so many bytes were recorded since, so that at its end little is left. Each
/// time may keep those waiting who write or rename on that disk. A multiple of [`JOURNAL_EVERY`].
pub(super) const SETTLE_EVERY: u64 = 64 << 20;

/// What those who work at a file share.
pub(super) struct Shared {
    pub(super) file: File,
    pub(super) size: u64,
    key: PartialKey,
    /// Where the journal lies; held while it is written, so that the last that is written tells the most.
    journal: Mutex<PathBuf>,
    state: Mutex<State>,
    /// Bytes have come.
    arrived: Condvar,
    /// So many bytes have come that somebody else than who hashes has something to do.
    piled: Condvar,
}

pub(super) struct State {
    /// In order, apart from each other.
    pub(super) ranges: Vec<Range<u64>>,
    pub(super) etag: Option<String>,
    /// Bytes that were recorded in all.
    recorded: u64,
    /// How often everything was begun anew.
    resets: u64,
    /// Why bytes or the journal could not be brought to the disk.
    failure: Option<io::Error>,
    /// The threads are to end: who hashes where it is or, once all is there, at the end of the file.
    is_closed: bool,
}

impl Shared {
    /// A file of which there is what the journal tells.
    pub(super) fn new(file: File, size: u64, key: PartialKey, path: PathBuf, journal: Journal) -> Self {
        let mut ranges = Vec::new();
        for (start, end) in journal.ranges {
            // What is not ours may tell of neighbours that were not joined.
            insert(&mut ranges, start..end);
        }
        let state = State { ranges, etag: journal.etag, recorded: 0, resets: 0, failure: None, is_closed: false };
        let (journal, state) = (Mutex::new(path), Mutex::new(state));
        Self { file, size, key, journal, state, arrived: Condvar::new(), piled: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Each use leaves a whole value behind, even where it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of bytes that were written.
    ///
    /// # Errors
    /// What one of the threads failed with.
    pub(super) fn record(&self, range: Range<u64>) -> io::Result<()> {
        let mut state = self.lock();
        state.check()?;
        let before = state.recorded;
        state.recorded += range.end.saturating_sub(range.start);
        insert(&mut state.ranges, range);
        self.arrived.notify_one();
        if state.recorded / JOURNAL_EVERY > before / JOURNAL_EVERY {
            self.piled.notify_all();
        }
        Ok(())
    }

    /// Begins anew, with another version of the file.
    pub(super) fn reset(&self, etag: Option<String>) -> io::Result<()> {
        let mut state = self.lock();
        state.etag = etag;
        state.forget();
        drop(state);
        self.arrived.notify_one();
        self.save()
    }

    /// Writes the journal.
    pub(super) fn save(&self) -> io::Result<()> {
        let path = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.lock();
        let ranges = state.ranges.iter().map(|range| (range.start, range.end)).collect();
        let journal = Journal { size: self.size, etag: state.etag.clone(), ranges, complete: None };
        drop(state);
        write_journal(&path, &journal)
    }

    /// Brings to the disk what has come. Where that fails nobody knows what of it is there, nor is told again: all of it
    /// has to come anew.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|_| self.lock().forget())
    }

    /// The threads are to end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_one();
        self.piled.notify_all();
    }

    /// Starts the thread that hashes.
    pub(super) fn start_hashing(self: &Arc<Self>) -> io::Result<JoinHandle<io::Result<Hasher>>> {
        let shared = Arc::clone(self);
        thread::Builder::new().name("wasmlx-hash".to_owned()).spawn(move || shared.follow())
    }

    /// Starts the thread that writes the journal; none for a file that is too small for one.
    pub(super) fn start_keeping(self: &Arc<Self>) -> io::Result<Option<JoinHandle<()>>> {
        self.start_each("wasmlx-journal", JOURNAL_EVERY, Self::save)
    }

    /// Starts the thread that brings to the disk what has come; none for a file that is soon brought there at its end.
    pub(super) fn start_settling(self: &Arc<Self>) -> io::Result<Option<JoinHandle<()>>> {
        self.start_each("wasmlx-settle", SETTLE_EVERY, Self::settle)
    }

    fn start_each(
        self: &Arc<Self>,
        name: &str,
        step: u64,
        work: fn(&Self) -> io::Result<()>,
    ) -> io::Result<Option<JoinHandle<()>>> {
        let shared = Arc::clone(self);
        let start = || thread::Builder::new().name(name.to_owned()).spawn(move || shared.each(step, work));
        (self.size > step).then(start).transpose()
    }

    /// Does something whenever so many bytes more have come, until it is closed or that fails.
    pub(super) fn each(&self, step: u64, work: fn(&Self) -> io::Result<()>) {
        let mut steps = 0;
        loop {
            let mut state = self.lock();
            while state.recorded / step == steps && !state.is_closed {
                state = self.piled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_closed {
                return;
            }
            steps = state.recorded / step;
            drop(state);
            if let Err(error) = work(self) {
                self.lock().failure = Some(error);
                return;
            }
        }
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
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let length = usize::try_from(there - hashed).map_or(HASH_BUFFER, |length| length.min(HASH_BUFFER));
            read_exact_at(&self.file, &mut buffer[..length], hashed)?;
            hasher.update(&buffer[..length]);
            hashed += length as u64;
        }
    }
}

impl State {
    /// # Errors
    /// What one of the threads failed with.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.failure {
            // Whoever asks next is to be told too.
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }

    /// Nothing is there any longer.
    fn forget(&mut self) {
        self.ranges.clear();
        self.resets += 1;
    }
}

/// Adds a range to those that are in order and apart from each other.
pub(super) fn insert(ranges: &mut Vec<Range<u64>>, new: Range<u64>) {
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
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
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
