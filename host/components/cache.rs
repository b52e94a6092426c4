//! Compiled components on disk.
//!
//! A file's name is a hash of all that its content depends on: the component, and what the `wasmtime::Engine` says
//! its artefacts depend on (its version, target and settings). Machine code runs with all the host's rights, so a
//! file begins with a message authentication code (HMAC-SHA-256, RFC 2104) under a key that only this user can read,
//! and the very bytes that were checked are the ones that are loaded.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::{ComponentError, ComponentErrorKind};

/// Bytes of the code at the beginning of a file, and of the key.
const CODE_LENGTH: usize = 32;

/// The most bytes of all files of a cache together.
const MOST_BYTES: u64 = 1 << 30;

/// How long a file may lie unused.
const LONGEST_UNUSED: Duration = Duration::from_secs(60 * 24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// A folder of compiled components. What lies unused for two months goes, and what is over 1 GiB.
pub(crate) struct Cache {
    folder: PathBuf,
    is_read_only: bool,
    key: OnceLock<[u8; CODE_LENGTH]>,
}

impl Cache {
    /// A cache in this folder, which need not exist yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, is_read_only: false, key: OnceLock::new() }
    }

    /// The same, from which is only read: nothing is kept, nothing goes, and no use is noted.
    pub(crate) fn read_only(folder: PathBuf) -> Self {
        Self { is_read_only: true, ..Self::new(folder) }
    }

    /// The component with this digest as compiled for this engine, if it is there.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidCache`] where the file is not one that this cache wrote; [`ComponentErrorKind::Io`].
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Result<Option<Component>, ComponentError> {
        let path = self.path(engine, digest);
        let file = match read_plain(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        let invalid = |why: &dyn std::fmt::Display| {
            let message = format!("{} is not a compiled component that this host wrote: {why}", path.display());
            ComponentError::new(ComponentErrorKind::InvalidCache, "", message)
        };
        let file = file.ok_or_else(|| invalid(&"it is no plain file, or larger than all of its files together"))?;
        let (code, artefact) = file.split_at_checked(CODE_LENGTH).ok_or_else(|| invalid(&"it is too short"))?;
        self.code(&path, artefact)?.verify_slice(code).map_err(|_| invalid(&"its content was changed"))?;
        // The code over the bytes and over the file's name holds, under a key that nobody else can read.
        let component = deserialize(engine, artefact).map_err(|error| invalid(&error))?;
        if !self.is_read_only {
            used(&path);
        }
        Ok(Some(component))
    }

    /// Keeps a compiled component. A reader sees the whole file or none.
    pub(crate) fn save(&self, digest: &str, component: &Component) -> Result<(), ComponentError> {
        if self.is_read_only {
            return Ok(());
        }
        let path = self.path(component.engine(), digest);
        let artefact = component.serialize().map_err(|error| {
            ComponentError::new(ComponentErrorKind::Io, "", format!("cannot serialise a compiled component: {error}"))
        })?;
        let code = self.code(&path, &artefact)?.finalize().into_bytes();
        let rename = |unfinished: &Path| fs::rename(unfinished, &path);
        write_whole(&path, &[&code, &artefact], rename).map_err(|error| io_error("write", &path, &error))?;
        prune(&self.folder, &path, MOST_BYTES, SystemTime::now())
            .map_err(|error| io_error("clear up", &self.folder, &error))
    }

    /// Where a component lies as compiled for this engine.
    fn path(&self, engine: &wasmtime::Engine, digest: &str) -> PathBuf {
        let mut hash = Sha256Hasher(Sha256::new_with_prefix(digest));
        engine.precompile_compatibility_hash().hash(&mut hash);
        self.folder.join(hex(&hash.0.finalize())).with_extension("cwasm")
    }

    /// The code over a file's name and content, to be finished or compared.
    fn code(&self, path: &Path, artefact: &[u8]) -> Result<Hmac<Sha256>, ComponentError> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let path = self.folder.join("key");
                let key = match self.is_read_only {
                    true => read_key(&path).and_then(|key| key.ok_or_else(not_private)),
                    false => user_key(&path),
                };
                let key = key.map_err(|error| io_error("read or make", &path, &error))?;
                self.key.get_or_init(|| key)
            }
        };
        let mut code = Hmac::<Sha256>::new_from_slice(key).map_err(|error| {
            ComponentError::new(ComponentErrorKind::InvalidCache, "", format!("the cache's key is unusable: {error}"))
        })?;
        code.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        code.update(artefact);
        Ok(code)
    }
}

/// A component of what it was compiled to: bytes in memory of our own that came from a cache's file whose code was
/// checked, or by a pipe from a process that this one started to compile, with a digest that was checked.
pub(crate) fn deserialize(engine: &wasmtime::Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    #[allow(unsafe_code, reason = "wasmtime trusts what it deserialises")]
    // SAFETY: by the rule above the bytes are what wasmtime serialised for this user's host; that it was for an engine
    // compatible with this one wasmtime checks. Nobody can change them between the check and the use.
    unsafe {
        Component::deserialize(engine, artefact)
    }
}

/// A file's bytes; none of what is no plain file or larger than this cache may be. Such is not opened: a pipe would be
/// waited for, and a file may claim any length without a byte on the disk.
fn read_plain(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // It may grow meanwhile.
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Notes that a file was used, once a day at most. Where it cannot be noted, the file goes sooner.
fn used(path: &Path) {
    let now = SystemTime::now();
    let is_noted = fs::metadata(path).and_then(|metadata| metadata.modified()).is_ok_and(|used| age(now, used) < DAY);
    if !is_noted {
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(now));
    }
}

fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// Removes from a folder what nobody has used for long, as files of other versions of the host are, what a process left
/// unfinished, and the files used longest ago where all together are more than `most` bytes. `kept` stays.
fn prune(folder: &Path, kept: &Path, most: u64, now: SystemTime) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (entry, is) = (entry?, |path: &Path, wanted: &str| path.extension().is_some_and(|it| it == wanted));
        let path = entry.path();
        // One that goes meanwhile is gone.
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(used) = metadata.modified() else { continue };
        let unused = age(now, used);
        if is(&path, "new") && unused > HOUR || is(&path, "cwasm") && unused > LONGEST_UNUSED {
            remove(&path);
        } else if is(&path, "cwasm") {
            files.push((used, metadata.len(), path));
        }
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if bytes <= most {
            break;
        }
        if path != kept {
            remove(&path);
            bytes -= length;
        }
    }
    Ok(())
}

fn remove(path: &Path) {
    // Another process may have done it; what cannot be removed is tried again after the next compilation.
    let _ = fs::remove_file(path);
}

/// SHA-256 of some bytes, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The key that belongs to this folder and user, made at first use.
///
/// A key that others may know or could have put there proves nothing: it is replaced, and what it vouched for is
/// compiled anew.
fn user_key(path: &Path) -> io::Result<[u8; CODE_LENGTH]> {
    match read_key(path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; CODE_LENGTH];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    // Of two processes that come here at once the first one's key stays, and both use it.
    write_whole(path, &[&key], |unfinished| match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::remove_file(unfinished),
    })?;
    read_key(path)?.ok_or_else(not_private)
}

fn not_private() -> io::Error {
    io::Error::other("it is not this user's alone")
}

/// A key that is this user's alone; none where the file is anything else.
fn read_key(path: &Path) -> io::Result<Option<[u8; CODE_LENGTH]>> {
    // Before it is opened, since a pipe would be waited for.
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != CODE_LENGTH as u64 || !is_private(&metadata) {
        return Ok(None);
    }
    let mut key = [0; CODE_LENGTH];
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

/// Whether a file is this user's, and nobody else may read or change it.
#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(_: &fs::Metadata) -> bool {
    true
}

/// Makes the cache's folder for this user alone: whoever may write in it could put files of their own there.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file that only this user can read, under another name first; `place` gives it its own, so that it is there
/// whole or not at all.
fn write_whole(path: &Path, parts: &[&[u8]], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let unfinished =
        path.with_extension(format!("{}-{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&unfinished).and_then(|mut file| {
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    });
    let placed = written.and_then(|()| place(&unfinished));
    if placed.is_err() {
        // The error that counts is the one above.
        let _ = fs::remove_file(&unfinished);
    }
    placed
}

fn io_error(what: &str, path: &Path, error: &io::Error) -> ComponentError {
    ComponentError::new(ComponentErrorKind::Io, "", format!("cannot {what} {}: {error}", path.display()))
}

/// Lets `wasmtime` hash what its artefacts depend on into a name that is the same in every process.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(std::array::from_fn(|byte| digest[byte]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(engine: &wasmtime::Engine) -> Component {
        Component::new(engine, wat::parse_str("(component)").unwrap()).unwrap()
    }

    fn only_artefact(folder: &Path) -> PathBuf {
        let is_artefact = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "cwasm");
        let mut found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_artefact);
        let path = found.next().unwrap();
        assert!(found.next().is_none());
        path
    }

    #[test]
    fn what_was_saved_is_loaded_by_another_process_too() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::new(folder.path().join("compiled"));
        assert!(cache.load(&engine, "d").unwrap().is_none());
        cache.save("d", &compiled(&engine)).unwrap();
        // As another process would.
        let cache = Cache::new(folder.path().join("compiled"));
        assert!(cache.load(&wasmtime::Engine::default(), "d").unwrap().is_some());
        assert!(cache.load(&engine, "another").unwrap().is_none());
        // With other settings the same component is another artefact.
        let other = wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(cache.load(&other, "d").unwrap().is_none());
    }

    #[test]
    fn a_cache_that_is_only_read_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let (whole, absent) = (folder.path().join("whole"), folder.path().join("absent"));
        Cache::new(whole.clone()).save("d", &compiled(&engine)).unwrap();
        let path = only_artefact(&whole);
        let long_ago = SystemTime::now() - 30 * DAY;
        File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let cache = Cache::read_only(whole.clone());
        assert!(cache.load(&engine, "d").unwrap().is_some());
        cache.save("e", &compiled(&engine)).unwrap();
        assert_eq!(fs::metadata(only_artefact(&whole)).unwrap().modified().unwrap(), long_ago);
        let cache = Cache::read_only(absent.clone());
        assert!(cache.load(&engine, "d").unwrap().is_none());
        cache.save("d", &compiled(&engine)).unwrap();
        assert!(!absent.exists());
        // Without the key nothing proves anything.
        fs::remove_file(whole.join("key")).unwrap();
        assert!(Cache::read_only(whole.clone()).load(&engine, "d").is_err());
        assert!(!whole.join("key").exists());
    }

    #[test]
    fn what_is_unused_or_too_much_goes() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let file = |name: &str, days: u32| {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            File::options().append(true).open(&path).unwrap().set_modified(now - days * DAY).unwrap();
            path
        };
        let (key, fresh) = (file("key", 900), file("fresh.cwasm", 0));
        let (week, month) = (file("week.cwasm", 7), file("month.cwasm", 30));
        let (old, torn) = (file("old.cwasm", 61), file("torn.1-1.new", 1));
        prune(folder.path(), &month, 1 << 20, now).unwrap();
        assert!(!old.exists() && !torn.exists());
        assert!([&key, &fresh, &week, &month].iter().all(|path| path.exists()));
        // What was just written stays, whatever else must go; a use makes a file younger.
        used(&week);
        prune(folder.path(), &month, 200, now).unwrap();
        let left: Vec<bool> = [&key, &fresh, &week, &month].iter().map(|path| path.exists()).collect();
        assert_eq!((left[0], left[3]), (true, true));
        assert_eq!(left.iter().filter(|exists| **exists).count(), 3, "{left:?}");
    }

    #[test]
    fn a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::new(folder.path().to_owned());
        cache.save("d", &compiled(&engine)).unwrap();
        let path = only_artefact(folder.path());
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [&flipped[..], &whole[..whole.len() - 1], &whole[..9], b""] {
            fs::write(&path, bytes).unwrap();
            let error = cache.load(&engine, "d").err().unwrap();
            assert_eq!(error.kind(), ComponentErrorKind::InvalidCache, "{error}");
        }
        fs::write(&path, whole).unwrap();
        assert!(cache.load(&engine, "d").unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_plain_file_of_a_size_that_can_be_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::new(folder.path().to_owned());
        cache.save("d", &compiled(&engine)).unwrap();
        let (path, key) = (only_artefact(folder.path()), folder.path().join("key"));
        let refused = || cache.load(&engine, "d").err().unwrap();
        // It takes no disk.
        File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(refused().to_string().contains("no plain file"), "{}", refused());
        for path in [&path, &key] {
            fs::remove_file(path).unwrap();
            // Whoever opens a pipe waits for somebody at its other end.
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        assert_eq!(refused().kind(), ComponentErrorKind::InvalidCache);
        let anew = Cache::new(folder.path().to_owned());
        anew.save("d", &compiled(&engine)).unwrap();
        assert!(anew.load(&engine, "d").unwrap().is_some());
    }

    #[test]
    fn a_file_under_anothers_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::new(folder.path().to_owned());
        cache.save("d", &compiled(&engine)).unwrap();
        fs::rename(only_artefact(folder.path()), cache.path(&engine, "e")).unwrap();
        assert_eq!(cache.load(&engine, "e").err().unwrap().kind(), ComponentErrorKind::InvalidCache);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        Cache::new(folder.path().to_owned()).save("d", &compiled(&engine)).unwrap();
        let key = folder.path().join("key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Cache::new(folder.path().to_owned()).load(&engine, "d").err().unwrap();
        assert_eq!(error.kind(), ComponentErrorKind::InvalidCache);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_have_put_there_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let first = user_key(&key).unwrap();
        assert_eq!(user_key(&key).unwrap(), first);
        // A private file of this user's whose first bytes anybody can guess.
        let private = folder.path().join("id_ed25519");
        fs::rename(&key, &private).unwrap();
        fs::write(&private, [b'-'; CODE_LENGTH]).unwrap();
        std::os::unix::fs::symlink(&private, &key).unwrap();
        assert_ne!(user_key(&key).unwrap(), [b'-'; CODE_LENGTH]);
        fs::write(&private, [b'-'; 400]).unwrap();
        fs::remove_file(&key).unwrap();
        fs::hard_link(&private, &key).unwrap();
        assert_ne!(user_key(&key).unwrap(), [b'-'; CODE_LENGTH]);
        assert_eq!(fs::read(&private).unwrap(), [b'-'; 400]);
    }

    #[test]
    fn processes_that_make_a_key_at_once_use_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| user_key(&key).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(keys, [keys[0]; 8]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
