//! A component that was built: loaded by the host once, then written to its file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmlx::{ComponentKind, ComponentRef, ErrorKind, Host};

use super::{Project, cannot};
use crate::failure::{Failure, Result};

/// A component that was built.
pub(crate) struct Built {
    pub(crate) file: PathBuf,
    pub(crate) kind: ComponentKind,
    pub(crate) bytes: usize,
    /// How long its language's tools took.
    pub(crate) time: Duration,
}

impl Built {
    /// Builds a component from its source into a file: NAME.wasm in its folder, where none is named. What is there
    /// already stays until the host has loaded the new one. Ctrl-C is heard meanwhile.
    ///
    /// # Errors
    /// As [`Project::build`]; `InvalidComponent` where the host does not load it; `Io`.
    pub(crate) async fn make(project: Project, host: &Host, file: Option<PathBuf>) -> Result<Self> {
        let name = project.name();
        let file = file.unwrap_or_else(|| project.folder().join(&name).with_added_extension("wasm"));
        let build = move || {
            let started = Instant::now();
            project.build().map(|bytes| (bytes, started.elapsed()))
        };
        let built = tokio::task::spawn_blocking(build).await;
        let (bytes, time) =
            built.map_err(|error| Failure::new(ErrorKind::Stopped, format_args!("building {name}: {error}")))??;
        let kind = host.check_component(ComponentRef::Bytes { name, bytes: bytes.as_slice().into() }).await?;
        write_whole(&file, &bytes)?;
        Ok(Self { file, kind, bytes: bytes.len(), time })
    }
}

/// Writes a file that is never seen half-written.
fn write_whole(path: &Path, bytes: &[u8]) -> Result {
    let partial = path.with_added_extension("partial");
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        // What could not be written may not be there to be removed either.
        let _ = fs::remove_file(&partial);
        cannot("write", path, &error)
    })
}
