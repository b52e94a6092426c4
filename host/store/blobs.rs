//! Files by what they are: `blobs/sha256-HEX`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::files::{entries, io_error, make_folder, remove_file, sync_folder};
use crate::{Digest, StoreError};

/// The folder of blobs. A file is there by its digest whole or not at all.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

/// How a file that becomes a blob came to lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The store alone has it: it is made read-only.
    Own,
    /// It is a hard link to somebody's file, whose mode it shares: that is theirs.
    Linked,
}

impl Blobs {
    /// The blobs of a home folder.
    pub(crate) fn new(home: &Path) -> Self {
        Self { folder: home.join("blobs") }
    }

    /// Where a blob lies, or would.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("sha256-{digest}"))
    }

    /// Whether a blob is there with that many bytes. What they are was looked at when it came.
    pub fn contains(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.path(digest)).is_ok_and(|file| file.is_file() && file.len() == size)
    }

    /// Makes a file of the folder of unfinished ones a blob: what it holds was hashed. It is brought to the disk first.
    /// One that is there already stays, unless it has another size.
    pub(crate) fn insert_file(&self, unfinished: &Path, digest: &Digest, kept: Kept) -> Result<(), StoreError> {
        let path = self.path(digest);
        let file = File::open(unfinished).map_err(|error| io_error("read", unfinished, &error))?;
        let size = file.metadata().map_err(|error| io_error("read", unfinished, &error))?.len();
        if !self.contains(digest, size) {
            let bring = || {
                if kept == Kept::Own {
                    make_read_only(&file)?;
                }
                file.sync_all()?;
                fs::rename(unfinished, &path)?;
                sync_folder(&self.folder)
            };
            bring().map_err(|error| io_error("write", &path, &error))?;
        }
        // Two names of one file do not replace each other.
        remove_file(unfinished).map_err(|error| io_error("remove", unfinished, &error))
    }

    /// The blobs that are there, each with its file.
    pub(crate) fn all(&self) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
        let paths = entries(&self.folder).map_err(|error| io_error("read", &self.folder, &error))?;
        Ok(paths.into_iter().filter_map(|path| Some((Self::digest(&path)?, path))).collect())
    }

    /// The digest of the blob that lies at a path; none where none does.
    pub(crate) fn digest(path: &Path) -> Option<Digest> {
        Digest::parse(path.file_name()?.to_str()?.strip_prefix("sha256-")?)
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where files lie that are not finished.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// The same, made where it is not there.
    pub(crate) fn make_unfinished(&self) -> Result<PathBuf, StoreError> {
        let folder = self.unfinished();
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Where blobs are put that turned out to be other than their name says.
    pub(crate) fn corrupt(&self) -> PathBuf {
        self.folder.join("corrupt")
    }
}

/// So that no program that opens a model's file writes into it by mistake. On systems where such a file cannot be
/// removed it stays writable.
#[cfg(unix)]
fn make_read_only(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(fs::Permissions::from_mode(mode & !0o222))
}

#[cfg(not(unix))]
fn make_read_only(_: &File) -> std::io::Result<()> {
    Ok(())
}
