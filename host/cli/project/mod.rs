//! A component's source: a folder with code in one of five languages and, beside it, its manifest and its cases.

mod built;
mod c;
pub(crate) mod interfaces;
mod javascript;
mod language;
mod python;
mod rust;
mod tool;
mod zig;

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx::{ComponentKind, Error, ErrorKind, Manifest};

use crate::failure::{Failure, Result};

pub(crate) use built::Built;
pub(crate) use language::Language;

/// The file of a component's manifest.
pub(crate) const MANIFEST: &str = "component.toml";

/// A component's source.
pub(crate) struct Project {
    folder: PathBuf,
    language: Language,
    /// The text of its manifest, and what it says.
    manifest: Option<(String, Manifest)>,
}

impl Project {
    /// What a folder holds; none where it holds no source that is known.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        let Some(language) = Language::of(folder)? else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let manifest = match fs::read_to_string(&path) {
            Ok(text) => {
                let manifest = wasmlx::parse_manifest(&text)?;
                Some((text, manifest))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot("read", &path, &error)),
        };
        Ok(Some(Self { folder: folder.to_path_buf(), language, manifest }))
    }

    /// What a folder holds.
    ///
    /// # Errors
    /// `NotFound` where it holds no source that is known.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Failure::new(ErrorKind::NotFound, format_args!("{} is no folder", folder.display())));
        }
        Self::find(folder)?.ok_or_else(|| {
            let files: Vec<&str> = Language::ALL.into_iter().map(Language::entry).collect();
            failed(
                ErrorKind::NotFound,
                format_args!("{} holds no component's source: none of {}", folder.display(), files.join(", ")),
                "`wasmlx component new` begins one",
            )
        })
    }

    /// The name that its manifest gives it, else the folder's.
    pub(crate) fn name(&self) -> String {
        if let Some((_, manifest)) = &self.manifest {
            return manifest.name.clone();
        }
        let folder = fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The component that the workspace of a Rust package built of it, which keeps it by the folder's name.
    pub(crate) fn kept_by_workspace(&self) -> Option<PathBuf> {
        match self.language {
            Language::Rust => rust::kept_by_workspace(&self.folder),
            _ => None,
        }
    }

    /// Builds the component, its manifest in it. The language's own tools do the work, and say on stderr what is wrong
    /// with the code.
    ///
    /// # Errors
    /// `NotFound` where a tool is not installed, with the command that installs it; `InvalidComponent` where the code
    /// does not build, or not into a component.
    pub(crate) fn build(&self) -> Result<Vec<u8>> {
        let component = match self.language {
            Language::Rust => rust::build(self)?,
            Language::C => c::build(self)?,
            Language::Zig => zig::build(self)?,
            Language::Python => python::build(self)?,
            Language::JavaScript => javascript::build(self)?,
        };
        match &self.manifest {
            Some((text, _)) => Ok(wasmlx::embed_manifest(text, &component)?),
            None => Ok(component),
        }
    }

    /// The world of its kind.
    fn world(&self) -> Result<&'static str> {
        interfaces::world(self.kind()?)
    }

    /// The kind that its manifest says.
    fn kind(&self) -> Result<ComponentKind> {
        let Some((_, manifest)) = &self.manifest else {
            return Err(failed(
                ErrorKind::NotFound,
                format_args!(
                    "{} is missing: it says which kind of component this is",
                    self.folder.join(MANIFEST).display()
                ),
                "`wasmlx component new` writes one; docs/WIT.md has its fields, under \"Grants\"",
            ));
        };
        Ok(manifest.kind)
    }

    /// The folder for what is made on the way, as Cargo names it.
    fn target(&self) -> Result<PathBuf> {
        let target = self.folder.join("target").join("wasmlx");
        fs::create_dir_all(&target).map_err(|error| cannot("make", &target, &error))?;
        // Tools run in folders of their own.
        fs::canonicalize(&target).map_err(|error| cannot("find", &target, &error))
    }
}

/// A failure with a way out.
fn failed(kind: ErrorKind, message: impl std::fmt::Display, hint: impl std::fmt::Display) -> Failure {
    Failure::Failed(Error::new(kind, message).with_hint(hint))
}

/// A file that cannot be read, written, ...
pub(crate) fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(ErrorKind::Io, format_args!("cannot {what} {}: {error}", path.display()))
}

/// Makes a component of a core module that wit-bindgen was used for.
fn encode(module: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(module).map_err(|error| cannot("read", module, &error))?;
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(&bytes)?.encode();
    encode().map_err(|error| {
        let error = format!("{error:#}");
        let hint = if error.contains("wasi_snapshot_preview1") {
            "something in it wants WASI: to print, a file, a clock, chance. Components of wasmlx have none of these; an \
             agent prints by `console`, and calls the interfaces of WASI that its world imports"
        } else {
            "it must export every function of its world, and import no others than the world's"
        };
        failed(ErrorKind::InvalidComponent, format_args!("{} fits no world: {error}", module.display()), hint)
    })
}
