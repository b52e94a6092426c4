//! Finding components and loading them.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use wasmlx_components::{
    BUILTIN_NAMES, CompilerCommand, Component, ComponentKind, Runtime, RuntimeOptions, builtin, read_file,
};
use wasmlx_store::{InstalledComponents, Store};

use super::error::{Error, ErrorKind, Result};

/// Which component: one that comes with the host or was installed, by its name; a `.wasm` file or a component's folder;
/// or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentRef {
    /// One that comes with the host (`jinja`, `chatml`, `llama3`, `default-policy`, `classic`, `mirostat`, `chat`) or
    /// was [installed](crate::Host::install_component).
    Name(String),
    /// A `.wasm` file, or a folder that holds one.
    Path(PathBuf),
    /// A component in memory.
    Bytes {
        /// What errors call it.
        name: String,
        /// The component.
        bytes: Arc<[u8]>,
    },
}

impl From<&str> for ComponentRef {
    /// What a user types: a path is told from a name by a separator, a leading dot, or `.wasm` at its end.
    fn from(text: &str) -> Self {
        let is_path = text.contains(std::path::is_separator) || text.starts_with('.') || text.ends_with(".wasm");
        if is_path { Self::Path(PathBuf::from(text)) } else { Self::Name(text.to_owned()) }
    }
}

impl From<String> for ComponentRef {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for ComponentRef {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_path_buf())
    }
}

/// Loads components, on a runtime that is made at the first need.
#[derive(Clone)]
pub(crate) struct Components {
    shared: Arc<Shared>,
}

struct Shared {
    installed: InstalledComponents,
    cache: PathBuf,
    is_read_only: bool,
    compiler: Option<CompilerCommand>,
    runtime: OnceLock<Result<Runtime>>,
}

impl Components {
    /// Those of a home, where compiled code is kept too; what compiles out of the way is `compiler`, or a thread.
    pub(crate) fn new(store: &Store, compiler: Option<CompilerCommand>) -> Self {
        let (installed, cache) = (store.components(), store.compiled_components());
        let is_read_only = store.is_read_only();
        Self { shared: Arc::new(Shared { installed, cache, is_read_only, compiler, runtime: OnceLock::new() }) }
    }

    /// The components that were installed.
    pub(crate) fn installed(&self) -> &InstalledComponents {
        &self.shared.installed
    }

    /// What a component is called, and its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidComponent`] for an installed one that is torn; [`ErrorKind::Io`].
    pub(crate) fn find<'a>(&self, component: &'a ComponentRef) -> Result<(Cow<'a, str>, Cow<'a, [u8]>)> {
        match component {
            ComponentRef::Name(name) => {
                let name_found = Cow::Borrowed(name.as_str());
                if let Some(bytes) = builtin(name) {
                    return Ok((name_found, Cow::Borrowed(bytes)));
                }
                match self.shared.installed.read(name)? {
                    Some((_, bytes)) => Ok((name_found, Cow::Owned(bytes))),
                    None => Err(self.not_found(name)),
                }
            }
            ComponentRef::Path(path) => {
                let (name, bytes) = read_file(&wasm_file(path)?)?;
                Ok((Cow::Owned(name), Cow::Owned(bytes)))
            }
            ComponentRef::Bytes { name, bytes } => Ok((Cow::Borrowed(name), Cow::Borrowed(bytes))),
        }
    }

    /// Loads a component for a slot. Blocks: one that was never compiled takes a second or two a megabyte.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::InvalidComponent`].
    pub(crate) fn load(&self, component: &ComponentRef, kind: ComponentKind) -> Result<Component> {
        of_kind(self.load_any(component)?, kind)
    }

    /// Loads a component of whatever kind it is. Blocks as [`Components::load`] does.
    pub(crate) fn load_any(&self, component: &ComponentRef) -> Result<Component> {
        let (name, bytes) = self.find(component)?;
        Ok(self.runtime()?.load(&name, &bytes)?)
    }

    /// The same out of the way of what runs: a component that must be compiled leaves the processors to others.
    pub(crate) fn load_aside(&self, component: &ComponentRef, kind: ComponentKind) -> Result<Component> {
        let (name, bytes) = self.find(component)?;
        of_kind(self.runtime()?.load_aside(&name, &bytes)?, kind)
    }

    /// The names of the components that come with the host, every one of them loaded to see that it can be.
    pub(crate) fn check_built_in(&self) -> Result<Vec<&'static str>> {
        for name in BUILTIN_NAMES {
            self.load_any(&name.into())?;
        }
        Ok(BUILTIN_NAMES.to_vec())
    }

    /// That there is no component of this name, and which there are.
    fn not_found(&self, name: &str) -> Error {
        const SHOWN: usize = 20;
        let mut names = BUILTIN_NAMES.map(str::to_owned).to_vec();
        // What keeps the installed ones from being read is told by who asks for one of them.
        let listing = self.shared.installed.list().unwrap_or_default();
        names.extend(listing.entries.into_iter().map(|entry| entry.name));
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        names.truncate(SHOWN);
        Error::new(
            ErrorKind::NotFound,
            format_args!("no component `{name}` is built in or installed; there are: {}{more}", names.join(", ")),
        )
        .with_hint(format_args!(
            "a file or a folder is written as a path: ./{name}; `wasmlx component list` shows all names"
        ))
    }

    pub(crate) fn runtime(&self) -> Result<&Runtime> {
        let made = self.shared.runtime.get_or_init(|| {
            let options = RuntimeOptions {
                cache_dir: Some(self.shared.cache.clone()),
                is_cache_read_only: self.shared.is_read_only,
                compiler: self.shared.compiler.clone(),
                ..RuntimeOptions::default()
            };
            Ok(Runtime::new(options)?)
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// A component that is to be of a kind.
fn of_kind(loaded: Component, kind: ComponentKind) -> Result<Component> {
    if loaded.kind() == kind {
        return Ok(loaded);
    }
    Err(Error::new(
        ErrorKind::InvalidComponent,
        format_args!("{} is {}; {} is needed here", loaded.name(), loaded.kind().with_article(), kind.with_article()),
    ))
}

/// Where a component's own cases lie: in `cases` beside its file. None where it has no such folder.
pub(crate) fn cases_folder(component: &ComponentRef) -> Option<PathBuf> {
    let ComponentRef::Path(path) = component else { return None };
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    Some(folder.join("cases")).filter(|cases| cases.is_dir())
}

/// The file of a component: itself, or the one in its folder.
pub(crate) fn wasm_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let entries = fs::read_dir(path).map_err(|error| Error::io("read", path, &error))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (Some(_), false) => Err(Error::new(
            ErrorKind::InvalidInput,
            format_args!("{} holds several .wasm files; name one of them", path.display()),
        )),
        (None, _) => Err(Error::new(ErrorKind::NotFound, format_args!("{} holds no .wasm file", path.display()))
            .with_hint(format_args!("build the component first: `wasmlx component build {}`", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_names() {
        assert_eq!(ComponentRef::from("jinja"), ComponentRef::Name("jinja".to_owned()));
        for path in ["./jinja", "guests/jinja", "jinja.wasm", "../x", "."] {
            assert_eq!(ComponentRef::from(path), ComponentRef::Path(PathBuf::from(path)));
        }
    }

    #[test]
    fn a_folder_has_one_file_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(wasm_file(folder.path()).unwrap_err().kind(), ErrorKind::NotFound);
        let file = folder.path().join("a.wasm");
        fs::write(&file, b"").unwrap();
        assert_eq!(wasm_file(folder.path()).unwrap(), file);
        fs::write(folder.path().join("b.wasm"), b"").unwrap();
        assert_eq!(wasm_file(folder.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
