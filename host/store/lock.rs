//! Locks between processes. They are the system's own (`flock`), so they end with the process that holds them, however
//! it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::files::{io_error, is_same_file};
use crate::{Monitor, StoreError, StoreErrorKind};

/// How often somebody who waits looks again. Waiting in the system's own call could not be broken off.
const AGAIN: Duration = Duration::from_millis(50);

/// A lock that is held while this lives.
#[derive(Debug)]
pub(crate) struct FileLock(#[expect(dead_code, reason = "held open: closing it lets go")] File);

impl FileLock {
    /// Lets nobody else have the lock, for a moment: waits without being breakable. Makes the file and its folder.
    pub(crate) fn exclusive(path: &Path) -> Result<Self, StoreError> {
        let lock = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = open(path)?;
            file.lock()?;
            Ok(Self(file))
        };
        lock().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => read_only(path, &error.to_string()),
            _ => io_error("lock", path, &error),
        })
    }

    /// Lets nobody have the lock exclusively. None where there is no such file, so nothing that could be written, or
    /// where the disk knows no locks.
    pub(crate) fn shared(path: &Path) -> Result<Option<Self>, StoreError> {
        let locked = File::open(path).and_then(|file| {
            file.lock_shared()?;
            Ok(Self(file))
        });
        match locked {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => Ok(None),
            Err(error) => Err(io_error("lock", path, &error)),
        }
    }

    /// Takes the lock of a file that is made for it, or none where somebody has it. Whoever holds it may remove or
    /// replace the file: a lock on what no longer has the name is none.
    pub(crate) fn try_named(path: &Path) -> Result<Option<Self>, StoreError> {
        loop {
            let file = open(path).map_err(|error| io_error("lock", path, &error))?;
            match file.try_lock() {
                Ok(()) if is_named(&file, path) => return Ok(Some(Self(file))),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(io_error("lock", path, &error)),
            }
        }
    }

    /// The same without making the file; none where there is none.
    pub(crate) fn try_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        if path.exists() { Self::try_named(path) } else { Ok(None) }
    }

    /// Whether somebody has the lock of a file at this moment.
    pub(crate) fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Takes the lock of a file that is made for it, waiting where somebody has it: `waiting` is called once then.
    ///
    /// # Errors
    /// [`StoreErrorKind::Cancelled`](crate::StoreErrorKind::Cancelled), and what opening the file fails with.
    pub(crate) fn wait_named(path: &Path, waiting: &dyn Fn(), monitor: &Monitor<'_>) -> Result<Self, StoreError> {
        let mut told = false;
        loop {
            if let Some(lock) = Self::try_named(path)? {
                return Ok(lock);
            }
            if !told {
                waiting();
                told = true;
            }
            monitor.check()?;
            thread::sleep(AGAIN);
        }
    }

    /// Says that a folder is used, for as long as this lives. None where there is no such folder, or where the system
    /// locks no folders.
    pub(crate) fn using(folder: &Path) -> Option<Self> {
        let file = File::open(folder).ok()?;
        file.lock_shared().ok()?;
        Some(Self(file))
    }

    /// Does something to a folder that nobody is [using](Self::using), and lets nobody begin to meanwhile; nothing where
    /// somebody is.
    pub(crate) fn unless_used(folder: &Path, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let file = File::open(folder).ok();
        match file.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => Ok(()),
            _ => change(),
        }
    }

    /// Holds the lock of a file that this process has made and not yet given its name.
    pub(crate) fn of_new(file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }
}

/// Why a store is only read that was opened so.
pub(crate) const OPENED_SO: &str = "it was opened so";

/// That a store may not be written to, for what lies at a path in its home.
pub(crate) fn read_only(path: &Path, why: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::ReadOnly,
        format!(
            "the store in {} is only read: {why}. Set {} to a folder that may be written to",
            path.parent().unwrap_or(path).display(),
            crate::HOME_VARIABLE
        ),
    )
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

/// Whether an open file still has its name. On Windows a file that is open cannot lose it.
fn is_named(file: &File, path: &Path) -> bool {
    matches!((file.metadata(), fs::metadata(path)), (Ok(open), Ok(named)) if is_same_file(&open, &named))
}
