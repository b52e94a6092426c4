//! A component under development: where its `.wasm` file and its cases are, and building it where it is not built.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx::{ComponentRef, ErrorKind, Host};

use crate::failure::{Failure, Result};
use crate::output;
use crate::project::{Built, Language, Project};

/// A component with its cases.
pub(crate) struct Guest {
    pub(crate) component: ComponentRef,
    pub(crate) cases: PathBuf,
}

impl Guest {
    /// Finds a component by its file or its folder. Of a Cargo package, one is taken that was built of it before
    /// (`target/components/NAME.wasm` of its workspace); else the folder's own `.wasm` file; else it is built now.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Ok(Self::file(path));
        }
        let cases = path.join("cases");
        let project = Project::find(path)?;
        if let Some(built) = built_before(path).filter(|_| is_rust(project.as_ref())) {
            return Ok(Self { component: built.as_path().into(), cases });
        }
        let has_own = fs::read_dir(path).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "wasm"))
        });
        match project {
            Some(project) if !has_own => Ok(Self { component: build(&project)?, cases }),
            // What is wrong with a folder that has none, or several, the library says.
            _ => Ok(Self { component: path.into(), cases }),
        }
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
        if !path.exists() {
            return Err(Failure::new(ErrorKind::NotFound, format_args!("{} is not there", path.display())));
        }
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

/// Only of Rust's guests does a workspace keep the components, by the folder's name.
fn is_rust(project: Option<&Project>) -> bool {
    project.is_some_and(|project| project.language() == Language::Rust)
}

fn built_before(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let file = Path::new(folder.file_name()?).with_extension("wasm");
    let components = folder.ancestors().map(|ancestor| ancestor.join("target/components").join(&file));
    components.into_iter().find(|component| component.is_file())
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
