//! Taking models that lie on this machine into the store.
//!
//! A file is cloned where the disk can do that (it shares the bytes until somebody changes one of the two), else given a
//! second name by a hard link where it is large, else copied. A file that is linked keeps its owner's mode, which both
//! names share: it is not made read-only, and who changes it in place changes the blob, which `verify` then tells. Small
//! files are what people edit in place, so they are always copied.

mod conversion;
mod source;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::blobs::Kept;
use crate::digest::Hasher;
use crate::files::{check_space, io_error, remove_file, remove_folder};
use crate::hashing::{Stopped, hash, in_parallel};
use crate::lock::FileLock;
use crate::usage::now;
use crate::{
    Bindings, DEFAULT_MODEL, Digest, GitHash, Manifest, ManifestFile, Meter, ModelFacts, Monitor, Name, PartialKey,
    Pull, Source, Stage, Store, StoreError, StoreErrorKind, WantedFile,
};
pub use conversion::Conversion;
use source::{Claimed, SourceFile, SourceModel};

/// A file with fewer bytes is copied, not linked.
const LINKED_BYTES: u64 = 16 << 20;

/// What importing came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The model as it is now in the store.
    pub manifest: Manifest,
    /// Bytes of files that share their bytes with those that were imported.
    pub linked: u64,
    /// Bytes of files that were copied.
    pub copied: u64,
    /// Bytes of files that the store had already.
    pub known: u64,
}

/// A file that lies in the store under a name of its own, until it is a blob.
struct Staged {
    file: SourceFile,
    path: PathBuf,
    digest: Digest,
    git: Option<GitHash>,
    kept: Kept,
    shares_bytes: bool,
}

/// Names of this process's own in the folder of unfinished files; nobody removes them while the lock is held.
struct Staging {
    folder: PathBuf,
    key: String,
    _lock: FileLock,
    next: AtomicUsize,
}

impl Store {
    /// Takes a model into the store: a folder, a `model*.safetensors` file with what lies beside it, or a Hugging Face
    /// cache with the id of the model in it. What is left out of `name`: that of the folder, or in a cache the model's
    /// own.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::InvalidModel`] for what is no model;
    /// [`StoreErrorKind::InvalidName`] for a name that another model has; [`StoreErrorKind::Corrupt`] where a cache's
    /// file is not what the cache says; [`StoreErrorKind::Cancelled`], [`StoreErrorKind::NoSpace`],
    /// [`StoreErrorKind::ReadOnly`], [`StoreErrorKind::Io`]. Then the store is as it was.
    pub fn import(
        &self,
        path: &Path,
        model: Option<&str>,
        name: Option<&str>,
        monitor: &Monitor<'_>,
    ) -> Result<Imported, StoreError> {
        let source = SourceModel::find(path, model)?;
        let name = name.map_or_else(|| source.name(), Name::parse)?;
        if name.to_string() == DEFAULT_MODEL {
            return Err(taken(&name, "it is the model's that ships with the program"));
        }
        let facts = ModelFacts::of_folder(&source.folder);
        let origin = Source::Import { path: source.folder.display().to_string().replace(char::is_control, "?") };
        self.take(&name, source, origin, facts, monitor)
    }

    /// Makes files a model of the store.
    fn take(
        &self,
        name: &Name,
        source: SourceModel,
        origin: Source,
        facts: ModelFacts,
        monitor: &Monitor<'_>,
    ) -> Result<Imported, StoreError> {
        // What a pull of the same name has brought stays wanted until the model is there.
        let mut pull = self.take_up(name, &|| monitor.waiting(&name.to_string()), monitor)?;
        let before = pull.files().to_vec();
        match self.bring(&mut pull, source, origin, facts, monitor) {
            Ok(imported) => Ok(Imported { manifest: pull.commit(imported.manifest)?, ..imported }),
            Err(error) => {
                // What is left over is swept with the next change.
                let _ = if before.is_empty() { pull.abandon() } else { pull.want(before) };
                Err(error)
            }
        }
    }

    /// Brings the files, and says which manifest is to be written.
    fn bring(
        &self,
        pull: &mut Pull,
        source: SourceModel,
        origin: Source,
        facts: ModelFacts,
        monitor: &Monitor<'_>,
    ) -> Result<Imported, StoreError> {
        let staging = self.staging()?;
        let staged = staging.stage(source.files, pull.name(), monitor)?;
        let files = staged.iter().map(|staged| ManifestFile {
            path: staged.file.path.clone(),
            sha256: staged.digest,
            size: staged.file.size,
            git: staged.git,
        });
        let mut files: Vec<ManifestFile> = files.collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut manifest = Manifest {
            name: pull.name().clone(),
            source: origin,
            created: now(),
            files,
            facts,
            bindings: Bindings::default(),
        };
        if let Ok(Some(before)) = self.manifest(&manifest.name) {
            if !has_same_files(&before, &manifest) {
                return Err(taken(&manifest.name, "a model with other files has it"));
            }
            // Where they came from first says more: a hub's commit.
            manifest.source = before.source;
        }
        let wanted = manifest.files.iter().map(|file| WantedFile {
            path: file.path.clone(),
            key: PartialKey::Sha256(file.sha256),
            size: file.size,
        });
        pull.want(wanted.collect())?;
        let mut imported = Imported { manifest, linked: 0, copied: 0, known: 0 };
        let blobs = self.blobs();
        for staged in &staged {
            let count = if blobs.contains(&staged.digest, staged.file.size) {
                &mut imported.known
            } else if staged.shares_bytes {
                &mut imported.linked
            } else {
                &mut imported.copied
            };
            *count += staged.file.size;
            blobs.insert_file(&staged.path, &staged.digest, staged.kept)?;
        }
        Ok(imported)
    }

    fn staging(&self) -> Result<Staging, StoreError> {
        let folder = self.blobs().make_unfinished()?;
        loop {
            let key = format!("import-{}-{:x}", std::process::id(), random());
            let path = folder.join(format!("{key}.lock"));
            if let Some(lock) = FileLock::try_named(&path)? {
                return Ok(Staging { folder, key, _lock: lock, next: AtomicUsize::new(0) });
            }
        }
    }
}

impl Staging {
    /// A folder for what is written anew of a model; it is not there until somebody makes it.
    fn converted(&self) -> PathBuf {
        self.folder.join(format!("{}.converted", self.key))
    }

    /// Brings files into the store's folder and hashes them, on all cores.
    fn stage(&self, mut files: Vec<SourceFile>, name: &Name, monitor: &Monitor<'_>) -> Result<Vec<Staged>, StoreError> {
        files.sort_by_key(|file| std::cmp::Reverse(file.size));
        let total = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        let has_failed = AtomicBool::new(false);
        let meter = Meter::new(*monitor, Stage::Importing, name.to_string(), 0, total);
        let staged = in_parallel(&files, |file| {
            // What is left undone for another file's failure has no error of its own.
            let is_wanted = !has_failed.load(Ordering::Relaxed);
            let staged = is_wanted.then(|| self.stage_one(file, &meter));
            has_failed.fetch_or(matches!(staged, Some(Err(_))), Ordering::Relaxed);
            staged
        });
        meter.finish();
        staged.into_iter().flatten().collect()
    }

    fn stage_one(&self, source: &SourceFile, meter: &Meter<'_>) -> Result<Staged, StoreError> {
        let path = self.folder.join(format!("{}.{}", self.key, self.next.fetch_add(1, Ordering::Relaxed)));
        let unreadable = |error: &io::Error| io_error("read", &source.found, error);
        let unwritable = |error: &io::Error| io_error("write", &path, error);
        let mut hasher = match source.claimed {
            Some(Claimed::Git(_)) => Hasher::with_git(source.size),
            _ => Hasher::new(),
        };
        let placed = place(source, &path);
        let (mut from, mut to) = match placed {
            Some(_) => (File::open(&path).map_err(|error| unreadable(&error))?, None),
            None => {
                check_space(&self.folder, source.size)?;
                let from = File::open(&source.found).map_err(|error| unreadable(&error))?;
                (from, Some(File::create_new(&path).map_err(|error| unwritable(&error))?))
            }
        };
        let mut size = 0;
        let hashed = hash(&mut from, &mut hasher, |bytes| {
            if let Some(to) = &mut to {
                to.write_all(bytes).map_err(|error| unwritable(&error))?;
            }
            size += bytes.len() as u64;
            meter.add(bytes.len() as u64)
        });
        hashed.map_err(|stopped| match stopped {
            Stopped::Told(error) => error,
            Stopped::Read(error) => unreadable(&error),
        })?;
        let (digest, git) = hasher.finish();
        let is_claimed = match &source.claimed {
            Some(Claimed::Sha256(claimed)) => *claimed == digest,
            Some(Claimed::Git(claimed)) => git == Some(*claimed),
            None => true,
        };
        let at = source.found.display();
        if !is_claimed {
            let message =
                format!("{at} is not what the cache it lies in says: its SHA-256 is {digest}. Fetch it again");
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        if size != source.size {
            let message = format!("{at} was changed while it was read; nothing was imported");
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        let kept = if placed == Some(Placed::Linked) { Kept::Linked } else { Kept::Own };
        Ok(Staged { file: source.clone(), path, digest, git, kept, shares_bytes: placed.is_some() && !source.is_ours })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is swept later: nobody holds it then.
        for number in 0..self.next.load(Ordering::Relaxed) {
            let _ = remove_file(&self.folder.join(format!("{}.{number}", self.key)));
        }
        let _ = remove_folder(&self.converted());
        let _ = remove_file(&self.folder.join(format!("{}.lock", self.key)));
    }
}

/// How a file came into the store's folder without its bytes being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    Cloned,
    Linked,
    Moved,
}

/// Brings a file to a path without reading its bytes, where that can be done.
fn place(source: &SourceFile, path: &Path) -> Option<Placed> {
    if source.is_ours && fs::rename(&source.found, path).is_ok() {
        return Some(Placed::Moved);
    }
    if clone_file(&source.found, path) {
        return Some(Placed::Cloned);
    }
    // What a symbolic link leads to, since not every system links that.
    let found = source.found.canonicalize().ok()?;
    (source.size >= LINKED_BYTES && fs::hard_link(found, path).is_ok()).then_some(Placed::Linked)
}

/// Lets a new file share the bytes of another until one of the two is changed: on Btrfs, XFS and the like.
#[cfg(target_os = "linux")]
fn clone_file(from: &Path, to: &Path) -> bool {
    let clone = || -> io::Result<()> {
        let source = File::open(from)?;
        let new = File::create_new(to)?;
        Ok(rustix::fs::ioctl_ficlone(&new, &source)?)
    };
    let is_cloned = clone().is_ok();
    if !is_cloned {
        let _ = remove_file(to);
    }
    is_cloned
}

/// The system's own copy clones on APFS.
#[cfg(target_os = "macos")]
fn clone_file(from: &Path, to: &Path) -> bool {
    let same_disk = || Some(is_on_one_disk(from, to.parent()?));
    same_disk().unwrap_or(false) && fs::copy(from, to).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn clone_file(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(target_os = "macos")]
fn is_on_one_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    matches!((fs::metadata(one), fs::metadata(other)), (Ok(one), Ok(other)) if one.dev() == other.dev())
}

fn has_same_files(one: &Manifest, other: &Manifest) -> bool {
    let files =
        |manifest: &Manifest| manifest.files.iter().map(|file| (file.path.clone(), file.sha256)).collect::<Vec<_>>();
    files(one) == files(other)
}

fn taken(name: &Name, why: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::InvalidName,
        format!(
            "the name {name} cannot be given to what is imported: {why}. Give another by --name, or remove that first"
        ),
    )
}

/// Tells apart what one process imports at once, and processes that have had one number.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(now())
}
