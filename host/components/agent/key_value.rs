//! Key-value spaces: folders with a file a key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{ComponentError, ComponentErrorKind};

/// The most bytes of a key: as many as fit a file's name in hexadecimal.
const KEY_BYTES: usize = 120;

/// The most bytes of a value.
const VALUE_BYTES: usize = 1 << 20;

/// The most keys of a space.
const KEYS: usize = 1024;

/// The most bytes of all values of a space.
const SPACE_BYTES: u64 = 16 << 20;

/// What keys' files end with. Others are writes that were cut short.
const EXTENSION: &str = "value";

/// The spaces of one component.
#[derive(Debug, Clone)]
pub struct Spaces {
    /// None where the program around keeps nothing.
    folder: Option<PathBuf>,
}

impl Spaces {
    /// The spaces of the component of this name, in a folder for those of all, which need not exist yet.
    pub fn new(folder: Option<&Path>, component: &str) -> Self {
        Self { folder: folder.map(|folder| folder.join(file_name(component))) }
    }

    /// A space; whether the component is given it is seen to elsewhere.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidInput`] for a name that is none; [`ComponentErrorKind::Denied`] where nothing is kept.
    pub fn open(&self, name: &str) -> Result<Space, ComponentError> {
        check_key("a space's name", name)?;
        let folder = self.folder.as_ref().ok_or_else(|| {
            let message = "this program keeps no key-value spaces";
            ComponentError::new(ComponentErrorKind::Denied, "", message)
        })?;
        Ok(Space { folder: folder.join(file_name(name)) })
    }
}

/// A space. What another process does to it is seen at once; each value is there whole or not at all.
#[derive(Debug, Clone)]
pub struct Space {
    folder: PathBuf,
}

/// Held while a value is written, so that two writers of this process do not both take the last of a space.
static WRITING: Mutex<()> = Mutex::new(());

impl Space {
    /// The value of a key; none where it has none.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidInput`] for a key that is none, [`ComponentErrorKind::Io`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ComponentError> {
        let path = self.path(key)?;
        let mut value = Vec::new();
        // Nobody but the user can have put a larger one there; it is not read whole either.
        let limit = VALUE_BYTES as u64 + 1;
        match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut value)) {
            Ok(length) if length <= VALUE_BYTES => Ok(Some(value)),
            Ok(_) => Err(too_large(format_args!("the value of `{key}` is larger than {VALUE_BYTES} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path, &error)),
        }
    }

    /// Gives a key a value: whole or not at all, and on the disk when it returns.
    ///
    /// # Errors
    /// [`ComponentErrorKind::OutOfMemory`] where the value is too large or the space is full; as [`Space::get`].
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), ComponentError> {
        let path = self.path(key)?;
        if value.len() > VALUE_BYTES {
            return Err(too_large(format_args!("a value has at most {VALUE_BYTES} bytes; this has {}", value.len())));
        }
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut keys, mut bytes) = (1, value.len() as u64);
        for entry in self.entries()? {
            if entry.path() != path {
                keys += 1;
                bytes += entry.metadata().map_err(|error| io_error("look at", &entry.path(), &error))?.len();
            }
        }
        if keys > KEYS || bytes > SPACE_BYTES {
            let full =
                format_args!("the space is full: it has at most {KEYS} keys and {SPACE_BYTES} bytes. Delete some");
            return Err(too_large(full));
        }
        self.write(&path, value).map_err(|error| io_error("write", &path, &error))
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), ComponentError> {
        let path = self.path(key)?;
        match fs::remove_file(&path).and_then(|()| sync_folder(&self.folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("delete", &path, &error)),
            _ => Ok(()),
        }
    }

    /// The keys, sorted.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Io`].
    pub fn keys(&self) -> Result<Vec<String>, ComponentError> {
        let entries = self.entries()?.into_iter();
        let mut keys: Vec<String> =
            entries.filter_map(|entry| key_of(Path::new(&entry.file_name()).file_stem()?.to_str()?)).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// The files of keys.
    fn entries(&self) -> Result<Vec<fs::DirEntry>, ComponentError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", &self.folder, &error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| io_error("read", &self.folder, &error))?;
            if entry.path().extension().is_some_and(|extension| extension == EXTENSION) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    fn path(&self, key: &str) -> Result<PathBuf, ComponentError> {
        check_key("a key", key)?;
        Ok(self.folder.join(file_name(key)).with_extension(EXTENSION))
    }

    /// Under another name first, and on the disk before it takes the place of what was there.
    fn write(&self, path: &Path, value: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(&self.folder)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{}-{count}.new", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&unfinished).and_then(|mut file| {
            file.write_all(value)?;
            file.sync_all()
        });
        let renamed = written.and_then(|()| fs::rename(&unfinished, path)).and_then(|()| sync_folder(&self.folder));
        if renamed.is_err() {
            // The error that counts is the one above.
            let _ = fs::remove_file(&unfinished);
        }
        renamed
    }
}

/// Lets a rename or removal outlast a loss of power, where the system can open folders.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// A file's name for any text: hexadecimal, so that no text leads elsewhere and none is another's where case does not
/// count.
fn file_name(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(2 * text.len()), |mut name, byte| {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// The text of a file's name; none of a name that is not ours.
fn key_of(name: &str) -> Option<String> {
    let (pairs, []) = name.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect();
    String::from_utf8(bytes?).ok()
}

fn check_key(what: &str, key: &str) -> Result<(), ComponentError> {
    if (1..=KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let message = format!("{what} has 1 to {KEY_BYTES} bytes; this has {}", key.len());
    Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message))
}

fn too_large(message: std::fmt::Arguments<'_>) -> ComponentError {
    ComponentError::new(ComponentErrorKind::OutOfMemory, "", message)
}

fn io_error(what: &str, path: &Path, error: &io::Error) -> ComponentError {
    ComponentError::new(ComponentErrorKind::Io, "", format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(folder: &tempfile::TempDir, component: &str) -> Space {
        Spaces::new(Some(folder.path()), component).open("notes").unwrap()
    }

    #[test]
    fn what_is_set_is_there_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let notes = space(&folder, "probe");
        assert_eq!((notes.get("a").unwrap(), notes.keys().unwrap()), (None, Vec::new()));
        notes.set("b/../c", b"1").unwrap();
        notes.set("A", b"2").unwrap();
        notes.set("a", b"3").unwrap();
        notes.set("a", b"4").unwrap();
        // Another opening, as another run's.
        let notes = space(&folder, "probe");
        assert_eq!(notes.keys().unwrap(), ["A", "a", "b/../c"]);
        assert_eq!(notes.get("a").unwrap().as_deref(), Some(&b"4"[..]));
        notes.delete("a").unwrap();
        notes.delete("a").unwrap();
        assert_eq!(notes.get("a").unwrap(), None);
        assert_eq!(notes.keys().unwrap(), ["A", "b/../c"]);
    }

    #[test]
    fn each_component_and_name_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        space(&folder, "probe").set("a", b"1").unwrap();
        assert_eq!(space(&folder, "other").get("a").unwrap(), None);
        let other = Spaces::new(Some(folder.path()), "probe").open("other").unwrap();
        assert_eq!(other.get("a").unwrap(), None);
        // Nothing lies outside of the folder, whatever the names.
        Spaces::new(Some(&folder.path().join("in")), "../up").open("/etc").unwrap().set("../../x", b"1").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_space_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let notes = space(&folder, "probe");
        for (key, value) in [("", 0), (&*"k".repeat(KEY_BYTES + 1), 0)] {
            let error = notes.set(key, &vec![0; value]).unwrap_err();
            assert_eq!(error.kind(), ComponentErrorKind::InvalidInput);
        }
        let largest = vec![7; VALUE_BYTES];
        let error = notes.set("a", &[&largest[..], &[0]].concat()).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::OutOfMemory);
        for key in 0..SPACE_BYTES as usize / VALUE_BYTES {
            notes.set(&key.to_string(), &largest).unwrap();
        }
        let error = notes.set("more", b"1").unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::OutOfMemory);
        // One in the place of another fits still, and a refused one left what was there.
        notes.set("0", &largest).unwrap();
        assert_eq!(notes.get("more").unwrap(), None);
        notes.delete("1").unwrap();
        notes.set("more", b"1").unwrap();
    }

    #[test]
    fn there_are_only_so_many_keys() {
        let folder = tempfile::tempdir().unwrap();
        let notes = space(&folder, "probe");
        fs::create_dir_all(&notes.folder).unwrap();
        for key in 0..KEYS {
            fs::write(notes.path(&key.to_string()).unwrap(), b"").unwrap();
        }
        assert_eq!(notes.set("more", b"").unwrap_err().kind(), ComponentErrorKind::OutOfMemory);
    }

    #[test]
    fn a_write_that_was_cut_short_is_no_value() {
        let folder = tempfile::tempdir().unwrap();
        let notes = space(&folder, "probe");
        notes.set("a", b"1").unwrap();
        fs::write(notes.folder.join("1-0.new"), b"half").unwrap();
        assert_eq!(notes.keys().unwrap(), ["a"]);
        assert_eq!(notes.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    }
}
