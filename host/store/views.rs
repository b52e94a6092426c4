//! Views: a model's files under their own names, for everything that reads models from folders.
//!
//! `models/HOST/NAMESPACE/NAME/TAG/` holds hard links to blobs, or symbolic links where the disk knows no others. A view
//! is derived from its manifest: it is made when the model is asked for, and made anew when it is not right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{entries, io_error, is_same_file, remove_empty, remove_folder, sync_folder};
use crate::name::{HUB, LOCAL};
use crate::{Manifest, Name, Store, StoreError, StoreErrorKind};

/// A view that is being made, and one that has been replaced: hidden, and only there while somebody has the lock.
const MAKING: &str = ".making";
const REPLACED: &str = ".replaced";

impl Store {
    /// Where the view of a name lies.
    pub(crate) fn view_path(&self, name: &Name) -> PathBuf {
        self.models().join(name.path())
    }

    /// The folder of a model's files, made where it is not there or not right.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] where the store lacks a file of it or has one of another size;
    /// [`StoreErrorKind::ReadOnly`] where the view would have to be made and nothing may be written.
    /// [`StoreErrorKind::NotFound`] where the model was removed meanwhile.
    pub(crate) fn view(&self, manifest: &Manifest) -> Result<PathBuf, StoreError> {
        if let Some(path) = self.missing_file(manifest) {
            return Err(damaged(manifest, path));
        }
        let path = self.view_path(&manifest.name);
        if self.is_right(manifest, &path) {
            return Ok(path);
        }
        let _store_lock = self.lock_to_write().map_err(|error| match error.kind() {
            StoreErrorKind::ReadOnly => StoreError::new(
                StoreErrorKind::ReadOnly,
                format!(
                    "the model {} was never used, so the folder that it is used from, {}, is to be made; {error}",
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
        if !self.is_right(&manifest, &path) {
            self.make_view(&manifest, &path).map_err(|error| io_error("make", &path, &error))?;
        }
        Ok(path)
    }

    /// Removes a view, for who holds the lock.
    pub(crate) fn remove_view(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.view_path(name);
        remove_folder(&path).map_err(|error| io_error("remove", &path, &error))?;
        if let Some(folder) = path.parent() {
            remove_empty(folder, &self.models());
        }
        Ok(())
    }

    /// The names of which there is a view. Folders of the user's own, of other hosts' names, are left alone.
    pub(crate) fn view_names(&self) -> Result<Vec<Name>, StoreError> {
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
    pub(crate) fn remove_unfinished_views(&self) -> Result<(), StoreError> {
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
