//! Bringing a model into the store: an intent says which files it is to have, then the files come, then its manifest.
//!
//! The intent lies beside where the manifest will, `TAG.json.pulling`, and keeps what has come from being swept. It is
//! locked by who works at it; one that nobody holds is of work that was cut short and can be taken up again.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::{io_error, make_folder, read_if_there, remove_empty, remove_file, sync_folder, unfinished_in};
use crate::lock::FileLock;
use crate::manifest::{MANIFEST_BYTES, check_paths};
use crate::partial::{self, Opened, Partial, PartialKey};
use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Digest, GitHash, Manifest, Monitor, Name, Store, StoreError, StoreErrorKind};

/// How often somebody who waits for another pull of the same model looks again.
const AGAIN: Duration = Duration::from_millis(100);

/// A file that a model is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedFile {
    /// Its path in the model.
    pub path: String,
    /// What it is known by.
    pub key: PartialKey,
    /// Bytes.
    pub size: u64,
}

/// What a model is to be, as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    #[serde(flatten)]
    pub(crate) name: Name,
    pub(crate) files: Vec<WantedFile>,
    /// What an earlier pull wanted that was cut short, and this one does not bring. It stays for the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    besides: Vec<WantedFile>,
}

/// What a pull begins with.
enum Beginning {
    /// These files, whatever was wanted before.
    Files(Vec<WantedFile>),
    /// These, beside what was wanted before.
    Part(Vec<WantedFile>),
    /// What was wanted before.
    TakenUp,
}

impl Intent {
    /// That a model is to have these files, and after them what is left of the `earlier` ones. Where those cannot lie
    /// beside these they are of another commit, and nobody wants them any longer.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidManifest`] for paths that lead out of a model.
    fn new(name: &Name, files: Vec<WantedFile>, earlier: &[WantedFile]) -> Result<Self, StoreError> {
        let mut intent = Self { name: name.clone(), files, besides: Vec::new() };
        intent.check().map_err(|why| {
            StoreError::new(StoreErrorKind::InvalidManifest, format!("the model {name} cannot be stored: {why}"))
        })?;
        let is_left = |file: &&WantedFile| !intent.files.iter().any(|wanted| wanted.path == file.path);
        intent.besides = earlier.iter().filter(is_left).cloned().collect();
        if intent.check().is_err() {
            intent.besides.clear();
        }
        Ok(intent)
    }

    /// All files that are wanted.
    pub(crate) fn all(&self) -> impl Iterator<Item = &WantedFile> + Clone {
        self.files.iter().chain(&self.besides)
    }

    fn check(&self) -> Result<(), String> {
        check_paths(self.all().map(|file| file.path.as_str()))
    }

    /// Reads the intent of a name.
    ///
    /// # Errors
    /// Why it cannot be used, as the end of a sentence.
    pub(crate) fn parse(text: &[u8], name: &Name) -> Result<Self, String> {
        let intent: Self = parse_versioned(text)?;
        match intent.name == *name {
            true => intent.check().map(|()| intent),
            false => Err(format!("it is of another model, {}", intent.name)),
        }
    }
}

/// A model that this process alone brings into the store. Dropped, it can be taken up again; what has come stays.
#[derive(Debug)]
pub struct Pull {
    store: Store,
    intent: Intent,
    /// What is to stay wanted once this is over, as far as it does not come.
    earlier: Vec<WantedFile>,
    /// Small files that other models have, by git's hash.
    known: HashMap<GitHash, Digest>,
    /// None once it is over.
    lock: Option<FileLock>,
}

impl Store {
    /// Begins to bring a model into the store, or takes up what was cut short. Where another process does the same,
    /// `waiting` is called once and its end waited for; then the model may be there.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidManifest`] for paths that lead out of a model, [`StoreErrorKind::ReadOnly`],
    /// [`StoreErrorKind::Cancelled`], and what files fail with.
    pub fn begin_pull(
        &self,
        name: &Name,
        files: Vec<WantedFile>,
        waiting: &dyn Fn(),
        monitor: &Monitor<'_>,
    ) -> Result<Pull, StoreError> {
        self.begin(name, Beginning::Files(files), waiting, monitor)
    }

    /// The same where only some files are to come: what a pull that was cut short wanted stays wanted, and what has
    /// come of it stays for the next.
    ///
    /// # Errors
    /// As [`Store::begin_pull`].
    pub fn begin_pull_of_some(
        &self,
        name: &Name,
        files: Vec<WantedFile>,
        waiting: &dyn Fn(),
        monitor: &Monitor<'_>,
    ) -> Result<Pull, StoreError> {
        self.begin(name, Beginning::Part(files), waiting, monitor)
    }

    /// The same with the files that a pull which was cut short wanted, if any.
    pub(crate) fn take_up(&self, name: &Name, waiting: &dyn Fn(), monitor: &Monitor<'_>) -> Result<Pull, StoreError> {
        self.begin(name, Beginning::TakenUp, waiting, monitor)
    }

    fn begin(
        &self,
        name: &Name,
        beginning: Beginning,
        waiting: &dyn Fn(),
        monitor: &Monitor<'_>,
    ) -> Result<Pull, StoreError> {
        let path = self.intent_path(name);
        let mut told = false;
        loop {
            let store_lock = self.lock_to_write()?;
            let before = FileLock::try_existing(&path)?;
            if before.is_some() || !path.exists() {
                let before = self.intent(name).ok().flatten();
                let before = before.iter().flat_map(Intent::all).cloned().collect();
                let (files, earlier) = match beginning {
                    Beginning::Files(files) => (files, Vec::new()),
                    Beginning::Part(files) => (files, before),
                    Beginning::TakenUp => (before, Vec::new()),
                };
                let intent = Intent::new(name, files, &earlier)?;
                let lock = Some(write(&path, &intent)?);
                let known = self.known_git_hashes()?;
                return Ok(Pull { store: self.clone(), intent, earlier, known, lock });
            }
            drop(store_lock);
            if !told {
                waiting();
                told = true;
            }
            monitor.check()?;
            thread::sleep(AGAIN);
        }
    }

    /// The digests of files that models here have from a hub that keeps them in git.
    fn known_git_hashes(&self) -> Result<HashMap<GitHash, Digest>, StoreError> {
        let manifests = self.manifests()?.into_iter().filter_map(|(_, manifest)| manifest.ok());
        let files = manifests.flat_map(|manifest| manifest.files);
        Ok(files.filter_map(|file| Some((file.git?, file.sha256))).collect())
    }

    /// Where the intent to bring a model lies.
    pub(crate) fn intent_path(&self, name: &Name) -> PathBuf {
        self.manifest_path(name).with_added_extension("pulling")
    }

    /// The intent of a name; none where there is none.
    pub(crate) fn intent(&self, name: &Name) -> Result<Option<Intent>, StoreError> {
        let path = self.intent_path(name);
        let Some(text) = read_if_there(&path, MANIFEST_BYTES)? else { return Ok(None) };
        Intent::parse(&text, name).map(Some).map_err(|why| {
            StoreError::new(
                StoreErrorKind::InvalidManifest,
                format!(
                    "what is unfinished of the model {name}, {}, cannot be used: {why}. Pull the model again, or remove \
                     it by `wasmlx store rm {name}`",
                    path.display()
                ),
            )
        })
    }
}

impl Pull {
    /// What is brought.
    pub fn name(&self) -> &Name {
        &self.intent.name
    }

    /// The files that it is to have.
    pub fn files(&self) -> &[WantedFile] {
        &self.intent.files
    }

    /// Changes which files it is to have.
    ///
    /// # Errors
    /// As [`Store::begin_pull`].
    pub fn want(&mut self, files: Vec<WantedFile>) -> Result<(), StoreError> {
        let intent = Intent::new(&self.intent.name, files, &self.earlier)?;
        let _store_lock = self.store.lock_to_write()?;
        // The new file is locked before it takes the place of the old.
        self.lock = Some(write(&self.store.intent_path(&intent.name), &intent)?);
        self.intent = intent;
        Ok(())
    }

    /// A wanted file that the store has already: its digest.
    ///
    /// # Errors
    /// What files fail with.
    pub fn find(&self, file: &WantedFile) -> Result<Option<Digest>, StoreError> {
        let blobs = self.store.blobs();
        let there = partial::complete(&blobs, file.key, file.size);
        let PartialKey::Git(git) = file.key else { return Ok(there) };
        match (there, self.known.get(&git)) {
            (None, Some(digest)) => {
                // From here on nobody sweeps it, since this pull wants the file that the note is about.
                let _store_lock = self.store.lock_to_write()?;
                let is_there = blobs.contains(digest, file.size);
                Ok((is_there && partial::note(&blobs, file.key, file.size, *digest)?).then_some(*digest))
            }
            _ => Ok(there),
        }
    }

    /// A wanted file to fetch, or its digest where it is there.
    ///
    /// # Errors
    /// As [`Partial::open`].
    pub fn open(&self, file: &WantedFile, waiting: &dyn Fn(), monitor: &Monitor<'_>) -> Result<Opened, StoreError> {
        match self.find(file)? {
            Some(digest) => Ok(Opened::Complete(digest)),
            None => Partial::open(&self.store.blobs(), file.key, file.size, waiting, monitor),
        }
    }

    /// Writes the manifest: from now on the model is there, in place of what its name stood for before, whose bindings
    /// it keeps. Files that no model needs any longer are removed.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidManifest`] for one that cannot be read back; [`StoreErrorKind::Corrupt`] where a file
    /// of it is not in the store; what files fail with. Then all is as it was.
    pub fn commit(mut self, mut manifest: Manifest) -> Result<Manifest, StoreError> {
        let name = &self.intent.name;
        manifest.files.sort_by(|one, other| one.path.cmp(&other.path));
        let refused = |why: String| {
            StoreError::new(StoreErrorKind::InvalidManifest, format!("the model {name} cannot be stored: {why}"))
        };
        if manifest.name != *name {
            return Err(refused(format!("its manifest is of {}", manifest.name)));
        }
        manifest.check().map_err(refused)?;
        let _store_lock = self.store.lock_to_write()?;
        let blobs = self.store.blobs();
        if let Some(file) = manifest.files.iter().find(|file| !blobs.contains(&file.sha256, file.size)) {
            let message = format!("the model {name} cannot be stored: {} has not come", file.path);
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        if manifest.bindings.is_empty()
            && let Ok(Some(before)) = self.store.manifest(name)
        {
            manifest.bindings = before.bindings;
        }
        self.store.remove_stale_views()?;
        self.store.write_manifest(&manifest)?;
        self.end_intent()?;
        self.store.sweep_blobs()?;
        Ok(manifest)
    }

    /// Gives up: what has come is removed, unless another model needs it, or an earlier pull wanted it that this one left
    /// alone.
    ///
    /// # Errors
    /// What files fail with.
    pub fn abandon(mut self) -> Result<(), StoreError> {
        let _store_lock = self.store.lock_to_write()?;
        self.end_intent()?;
        self.store.sweep()?;
        Ok(())
    }

    /// Only what was wanted before stays wanted.
    fn end_intent(&mut self) -> Result<(), StoreError> {
        let Intent { name, besides, .. } = &self.intent;
        let path = self.store.intent_path(name);
        match besides.is_empty() {
            true => remove_intent(&path, &self.store.manifests_folder())?,
            false => drop(write(&path, &Intent::new(name, besides.clone(), &[])?)?),
        }
        self.lock = None;
        Ok(())
    }
}

/// Removes an intent, for who holds the store's lock and the intent's.
pub(crate) fn remove_intent(path: &Path, root: &Path) -> Result<(), StoreError> {
    remove_file(path).map_err(|error| io_error("remove", path, &error))?;
    if let Some(folder) = path.parent() {
        remove_empty(folder, root);
    }
    Ok(())
}

/// Writes an intent, whose lock is held from before it has its name.
fn write(path: &Path, intent: &Intent) -> Result<FileLock, StoreError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let text = to_versioned_json(intent).map_err(|error| io_error("write", path, &error.into()))?;
    // A manifest says twice as much of a file.
    if text.len() as u64 > MANIFEST_BYTES / 2 {
        let message = format!("the model {} has too many files ({})", intent.name, intent.all().count());
        return Err(StoreError::new(StoreErrorKind::InvalidManifest, message));
    }
    make_folder(folder)?;
    let write = || {
        let mut file = unfinished_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        let (file, unnamed) = file.into_parts();
        let lock = FileLock::of_new(file)?;
        unnamed.persist(path)?;
        sync_folder(folder)?;
        Ok(lock)
    };
    write().map_err(|error: io::Error| io_error("write", path, &error))
}
