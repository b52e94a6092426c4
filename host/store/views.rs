//! Views: a model's files under their own names, for everything that reads models from folders.
//!
//! `models/HOST/NAMESPACE/NAME/TAG/CONTENT/` holds hard links to blobs, or symbolic links where the disk knows no others.
//! A view is derived from its manifest: it is made when the model is asked for, and made anew when it is not right.
//! CONTENT is a hash of the files' names and digests, so another version of the model has another folder, and who opens
//! the files of one after the other never gets those of two versions.
//!
//! What a new version replaces stays until the change of the store after that, and for as long as somebody in this
//! program reads it, which a lock on the folder says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::blobs::Blobs;
use crate::files::{
    entries, has_one_name, io_error, is_same_file, remove_empty, remove_file, remove_folder, sync_folder,
};
use crate::lock::FileLock;
use crate::name::{HUB, LOCAL};
use crate::{Digest, Manifest, Name, Store, StoreError, StoreErrorKind};

/// A view that is being made, and one that has been replaced: hidden, and only there while somebody has the lock.
const MAKING: &str = ".making";
const REPLACED: &str = ".replaced";

/// Hexadecimal digits that tell the versions of one model apart.
const CONTENT_DIGITS: usize = 16;

/// A folder of a model's files.
pub(crate) struct View {
    pub(crate) path: PathBuf,
    /// Keeps it from being removed; none where the disk knows no locks.
    pub(crate) in_use: Option<FileLock>,
}

impl Store {
    /// The folder of a model's files, made where it is not there or not right.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] where the store lacks a file of it or has one of another size;
    /// [`StoreErrorKind::ReadOnly`] where the view would have to be made and nothing may be written.
    /// [`StoreErrorKind::NotFound`] where the model was removed meanwhile.
    pub(crate) fn view(&self, manifest: &Manifest) -> Result<View, StoreError> {
        let path = self.view_path(manifest);
        // It is in use before it is looked at, so that what was right then stays.
        let in_use = FileLock::using(&path);
        let missing = self.missing_file(manifest);
        if missing.is_none() && self.is_right(manifest, &path) {
            return Ok(View { path, in_use });
        }
        let _store_lock = self.lock_to_write().map_err(|error| match (error.kind(), missing) {
            (StoreErrorKind::ReadOnly, Some(path)) => damaged(manifest, path),
            (StoreErrorKind::ReadOnly, None) => StoreError::new(
                StoreErrorKind::ReadOnly,
                format!(
                    "the model {} was not used since it came, so the folder that it is used from, {}, is to be made; {error}",
                    manifest.name,
                    path.display()
                ),
            ),
            _ => error,
        })?;
        // Somebody may have made it meanwhile, or changed what is to be seen in it.
        let Some(manifest) = self.manifest(&manifest.name)? else {
            return Err(self.not_found(&manifest.name.to_string()));
        };
        if let Some(path) = self.missing_file(&manifest) {
            return Err(damaged(&manifest, path));
        }
        let path = self.view_path(&manifest);
        if !self.is_right(&manifest, &path) {
            self.make_view(&manifest, &path).map_err(|error| io_error("make", &path, &error))?;
        }
        Ok(View { in_use: FileLock::using(&path), path })
    }

    /// Removes views of models that are gone and of what models were before, and what was left of making one, for who
    /// holds the lock, and says how many bytes that frees. Those that somebody uses stay.
    pub(crate) fn remove_stale_views(&self) -> Result<u64, StoreError> {
        self.remove_unfinished_views()?;
        let mut freed = 0;
        for name in self.view_names()? {
            let current = match self.manifest(&name) {
                Ok(manifest) => manifest.map(|manifest| self.view_path(&manifest)),
                // What it names is not known.
                Err(_) => continue,
            };
            let folder = self.models().join(name.path());
            let views = entries(&folder).map_err(|error| io_error("read", &folder, &error))?;
            for view in views.into_iter().filter(|view| Some(view) != current.as_ref()) {
                let remove = || {
                    freed += sole_bytes(&view);
                    if view.is_dir() { remove_folder(&view) } else { remove_file(&view) }
                };
                FileLock::unless_used(&view, remove).map_err(|error| io_error("remove", &view, &error))?;
            }
            remove_empty(&folder, &self.models());
        }
        Ok(freed)
    }

    /// The blobs that views lead to by symbolic links, and so need.
    pub(crate) fn linked_blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let mut digests = Vec::new();
        for name in self.view_names()? {
            let folder = self.models().join(name.path());
            find_links(&folder, &mut digests).map_err(|error| io_error("read", &folder, &error))?;
        }
        Ok(digests)
    }

    /// Where the view of a model lies.
    fn view_path(&self, manifest: &Manifest) -> PathBuf {
        let files = manifest.files.iter().map(|file| format!("{} {}\n", file.sha256, file.path));
        let content = Digest::of(files.collect::<String>().as_bytes()).to_string();
        self.models().join(manifest.name.path()).join(&content[..CONTENT_DIGITS])
    }

    /// The names of which there are views. Folders of the user's own, of other hosts' names, are left alone.
    fn view_names(&self) -> Result<Vec<Name>, StoreError> {
        let root = self.models();
        let mut folders = vec![root.join(HUB), root.join(LOCAL)];
        for _ in ["namespace", "name", "tag"] {
            let mut inner = Vec::new();
            for folder in folders {
                let entries = entries(&folder).map_err(|error| io_error("read", &folder, &error))?;
                inner.extend(entries.into_iter().filter(|entry| entry.is_dir()));
            }
            folders = inner;
        }
        Ok(folders.iter().filter_map(|folder| Name::of_path(folder.strip_prefix(&root).ok()?)).collect())
    }

    /// Removes what somebody who was ended left of making a view, for who holds the lock.
    fn remove_unfinished_views(&self) -> Result<(), StoreError> {
        for name in [MAKING, REPLACED] {
            let path = self.models().join(name);
            remove_folder(&path).map_err(|error| io_error("remove", &path, &error))?;
        }
        Ok(())
    }

    /// Whether a folder holds the files of a model and no others.
    fn is_right(&self, manifest: &Manifest, view: &Path) -> bool {
        let is_blob = |path: &str, blob: &Path| is_same(&view.join(path), blob).unwrap_or(false);
        count_files(view).is_ok_and(|count| count == manifest.files.len())
            && manifest.files.iter().all(|file| is_blob(&file.path, &self.blobs().path(&file.sha256)))
    }

    /// Under another name first, so that the view is there whole or not at all.
    fn make_view(&self, manifest: &Manifest, path: &Path) -> io::Result<()> {
        let (making, replaced) = (self.models().join(MAKING), self.models().join(REPLACED));
        for left_over in [&making, &replaced] {
            remove_folder(left_over)?;
        }
        fs::create_dir_all(&making)?;
        for file in &manifest.files {
            let link = making.join(&file.path);
            if let Some(folder) = link.parent() {
                fs::create_dir_all(folder)?;
            }
            let blob = self.blobs().path(&file.sha256);
            if fs::hard_link(&blob, &link).is_err() {
                symbolic_link(&blob, self.home(), &path.join(&file.path), &link)?;
            }
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.exists() {
            fs::rename(path, &replaced)?;
        }
        fs::rename(&making, path)?;
        sync_folder(path.parent().unwrap_or(path))?;
        remove_folder(&replaced)
    }
}

/// A file that the store should have and has not.
pub(crate) fn damaged(manifest: &Manifest, path: &str) -> StoreError {
    let name = &manifest.name;
    let again = match manifest.source {
        crate::Source::Hub { .. } => format!("`wasmlx pull {name}` fetches what is missing"),
        _ => "import it again".to_owned(),
    };
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!("the model {name} is damaged: its file {path} is missing in the store, or cut short; {again}"),
    )
}

/// Makes a symbolic link to a blob that holds wherever the home folder is moved. `place` is where it will lie.
#[cfg(unix)]
fn symbolic_link(blob: &Path, home: &Path, place: &Path, link: &Path) -> io::Result<()> {
    let inside = |path: &Path| path.strip_prefix(home).map(Path::to_path_buf).map_err(io::Error::other);
    let up = inside(place)?.components().skip(1).map(|_| "..").collect::<PathBuf>();
    std::os::unix::fs::symlink(up.join(inside(blob)?), link)
}

#[cfg(windows)]
fn symbolic_link(blob: &Path, _: &Path, _: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(blob, link)
}

/// Bytes of files in a folder that are blobs no longer.
fn sole_bytes(folder: &Path) -> u64 {
    let size = |path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(file) if file.is_dir() => sole_bytes(&path),
        Ok(file) if file.is_file() && has_one_name(&file) => file.len(),
        _ => 0,
    };
    entries(folder).unwrap_or_default().into_iter().map(size).fold(0, u64::saturating_add)
}

/// The blobs that symbolic links in a folder lead to.
fn find_links(folder: &Path, digests: &mut Vec<Digest>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        match entry? {
            kind if kind.is_dir() => find_links(&path, digests)?,
            kind if kind.is_symlink() => digests.extend(Blobs::digest(&fs::read_link(&path)?)),
            _ => {}
        }
    }
    Ok(())
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(is_same_file(&fs::metadata(one)?, &fs::metadata(other)?))
}

/// How many files a folder holds, but for what the Finder leaves behind.
fn count_files(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += count_files(&entry.path())?;
        } else if entry.file_name() != ".DS_Store" {
            count += 1;
        }
    }
    Ok(count)
}
