//! Files that appear whole or not at all, and reading that is bounded.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{StoreError, StoreErrorKind};

/// What ends the name of a file that is not finished.
pub(crate) const UNFINISHED: &str = "new";

/// Reads a file of at most `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))),
        false => Ok(bytes),
    }
}

/// The same; none where there is no such file.
pub(crate) fn read_if_there(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match read_bounded(path, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path, &error)),
    }
}

/// Writes a file under another name first, and brings it to the disk before it takes the place of what was there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut unfinished = unfinished_in(folder)?;
    unfinished.write_all(bytes)?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(path)?;
    sync_folder(folder)
}

/// A hidden file in a folder, to be renamed once it is whole. Who may read it is up to the user, as with any file.
pub(crate) fn unfinished_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let suffix = format!(".{UNFINISHED}");
    let mut builder = tempfile::Builder::new();
    builder.suffix(&suffix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Lets a rename or removal outlast a loss of power, where the system can open folders.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a folder and those above it, and lets them outlast a loss of power.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let make = || -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(folder)?;
        missing.into_iter().filter_map(Path::parent).filter(|parent| parent.is_dir()).try_for_each(sync_folder)
    };
    make().map_err(|error| io_error("make", folder, &error))
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; one that is not there is no error.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes folders that are empty, from `folder` up to but without `root`.
pub(crate) fn remove_empty(folder: &Path, root: &Path) {
    let mut folder = Some(folder);
    while let Some(empty) = folder.filter(|folder| *folder != root && folder.starts_with(root)) {
        if fs::remove_dir(empty).is_err() {
            return;
        }
        folder = empty.parent();
    }
}

/// What a folder holds, by name, hidden entries left out; nothing where it is not there.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The files of a folder with an extension; none of a folder that is not there. Hidden ones count.
pub(crate) fn files_with(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Bytes of the files in a folder, those in folders of it too, hidden ones left out.
pub(crate) fn folder_size(folder: &Path) -> u64 {
    let size = |path: PathBuf| match fs::metadata(&path) {
        Ok(file) if file.is_file() => file.len(),
        // A symbolic link to a folder may lead round in a circle.
        Ok(_) if fs::symlink_metadata(&path).is_ok_and(|entry| entry.is_dir()) => folder_size(&path),
        _ => 0,
    };
    entries(folder).unwrap_or_default().into_iter().map(size).fold(0, u64::saturating_add)
}

/// Whether two files are one.
#[cfg(unix)]
pub(crate) fn is_same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether two files are one. Elsewhere sizes have to do.
#[cfg(not(unix))]
pub(crate) fn is_same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    one.len() == other.len()
}

/// Whether removing a file's name frees its bytes.
#[cfg(unix)]
pub(crate) fn has_one_name(file: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) == 1
}

/// Whether removing a file's name frees its bytes. Elsewhere it is not known.
#[cfg(not(unix))]
pub(crate) fn has_one_name(_: &fs::Metadata) -> bool {
    false
}

/// The bytes that are free on the disk of a folder, which need not exist; none where the system does not tell.
#[cfg(unix)]
pub fn free_space(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The bytes that are free on the disk of a folder; none where the system does not tell.
#[cfg(not(unix))]
pub fn free_space(_: &Path) -> Option<u64> {
    None
}

/// That a disk has room for so many bytes more, with a little to spare.
///
/// # Errors
/// [`StoreErrorKind::NoSpace`] says how much there is and how much it takes.
pub(crate) fn check_space(folder: &Path, needed: u64) -> Result<(), StoreError> {
    const SPARE: u64 = 16 << 20;
    match free_space(folder) {
        Some(free) if free < needed.saturating_add(SPARE) => Err(StoreError::new(
            StoreErrorKind::NoSpace,
            format!(
                "not enough room: {} more are needed, and the disk of {} has {} left. `wasmlx store gc` and `wasmlx \
                 store rm MODEL` make room, or set {} to a folder on another disk",
                bytes_for_people(needed),
                folder.display(),
                bytes_for_people(free),
                crate::HOME_VARIABLE
            ),
        )),
        _ => Ok(()),
    }
}

/// `4.3 GB`, for sentences.
pub(crate) fn bytes_for_people(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// A file or folder could not be read, written, made, locked or removed, as `what` says.
pub(crate) fn io_error(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let at = path.display();
    let (kind, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            StoreErrorKind::NoSpace,
            ". Make room on that disk; `wasmlx store gc` removes what no model needs".to_owned(),
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            (StoreErrorKind::ReadOnly, format!(". Set {} to a folder that may be written to", crate::HOME_VARIABLE))
        }
        _ => (StoreErrorKind::Io, String::new()),
    };
    StoreError::new(kind, format!("cannot {what} {at}: {error}{advice}"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
