//! A component under development: where its `.wasm` file and its cases are, and building it where it is not built.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx::{ComponentRef, Error, ErrorKind, Host};

use crate::failure::{Failure, Result};
use crate::output;
use crate::project::{Built, Project};
use crate::watch;

/// A component with its cases.
pub(crate) struct Guest {
    pub(crate) component: ComponentRef,
    pub(crate) cases: PathBuf,
}

impl Guest {
    /// Finds a component by its file or its folder. Of a folder its own `.wasm` file is taken; else the one that the
    /// Cargo workspace which it is a member of keeps of it; else it is built now. What was built before is taken as it
    /// is, and it is told where its source is newer.
    ///
    /// # Errors
    /// `NotFound` where nothing is there; those of [`Project::find`] and [`Project::build`].
    pub(crate) fn find(path: &Path) -> Result<Self> {
        must_be_there(path)?;
        if !path.is_dir() {
            return Ok(Self::file(path));
        }
        let cases = path.join("cases");
        let (project, files) = (Project::find(path)?, wasm_files(path));
        let (Some(project), ..=1) = (project, files.len()) else {
            // What is wrong with a folder that has none, or several, the library says.
            return Ok(Self { component: path.into(), cases });
        };
        let component = match files.into_iter().next().or_else(|| project.kept_by_workspace()) {
            Some(file) => {
                tell_if_older(&file, path);
                file.as_path().into()
            }
            None => build(&project)?,
        };
        Ok(Self { component, cases })
    }

    fn file(path: &Path) -> Self {
        Self { component: path.into(), cases: path.parent().unwrap_or(Path::new("")).join("cases") }
    }
}

/// A component that is worked on.
pub(crate) enum Source {
    /// The folder of its source.
    Project(PathBuf),
    /// Its `.wasm` file, which something else builds.
    File(PathBuf),
}

impl Source {
    /// What is at a path.
    ///
    /// # Errors
    /// `NotFound` where nothing is, or no source that is known.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            Project::open(path)?;
            return Ok(Self::Project(path.to_path_buf()));
        }
        must_be_there(path)?;
        Ok(Self::File(path.to_path_buf()))
    }

    /// The files and folders that it depends on, cases included.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Project(folder) => vec![folder.clone()],
            Self::File(file) => vec![file.clone(), Guest::file(file).cases],
        }
    }

    /// Whether it depends on a file.
    pub(crate) fn has(&self, file: &Path) -> bool {
        self.files().iter().any(|root| file.starts_with(root))
    }

    /// The component as its files are now. A source is built, into the file of its name in its folder.
    ///
    /// # Errors
    /// As [`Built::make`].
    pub(crate) async fn build(&self, host: &Host) -> Result<Guest> {
        match self {
            Self::Project(folder) => {
                let built = Built::make(Project::open(folder)?, host, None).await?;
                Ok(Guest::file(&built.file))
            }
            Self::File(file) => Ok(Guest::file(file)),
        }
    }
}

/// # Errors
/// `NotFound` where nothing is at a path.
fn must_be_there(path: &Path) -> Result {
    if path.exists() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::NotFound, format_args!("{} is not there", path.display()));
    Err(Failure::Failed(
        error.with_hint("name a component's folder or its .wasm file; of an installed one no cases are kept"),
    ))
}

fn wasm_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

/// Says where a component that was built before is not what its source is now.
fn tell_if_older(file: &Path, folder: &Path) {
    let built = fs::metadata(file).and_then(|metadata| metadata.modified());
    let (Ok(built), Some((source, changed))) = (built, watch::last_change(folder)) else { return };
    if changed > built {
        output::note(format_args!(
            "note: {} is newer than {}, which is taken as it is; `wasmlx component build {}` builds it anew",
            source.display(),
            file.display(),
            folder.display()
        ));
    }
}

/// Builds a component from its source.
fn build(project: &Project) -> Result<ComponentRef> {
    output::aside(format_args!("building {}", project.folder().display()));
    Ok(ComponentRef::Bytes { name: project.name(), bytes: project.build()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_lie_beside_a_file_and_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        fs::write(&file, b"").unwrap();
        for path in [file.as_path(), folder.path()] {
            assert_eq!(Guest::find(path).unwrap().cases, folder.path().join("cases"));
        }
    }
}
