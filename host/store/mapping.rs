//! `models.toml`: names that the user has given to folders of their own, which are used in place.
//!
//! ```toml
//! mine = "/data/models/Qwen3-0.6B-4bit"
//! draft = "~/models/draft"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::read_if_there;
use crate::manifest::MANIFEST_BYTES;
use crate::{Store, StoreError, StoreErrorKind};

/// The file's name.
pub const MAPPING: &str = "models.toml";

impl Store {
    /// The folders that the user has named, by name. A path that is not absolute is one from the home folder on; `~`
    /// begins one in the user's.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidManifest`] says what is wrong with the file; [`StoreErrorKind::Io`].
    pub(crate) fn mapping(&self) -> Result<BTreeMap<String, PathBuf>, StoreError> {
        let path = self.home().join(MAPPING);
        let Some(text) = read_if_there(&path, MANIFEST_BYTES)? else { return Ok(BTreeMap::new()) };
        let wrong = |why: String| {
            StoreError::new(
                StoreErrorKind::InvalidManifest,
                format!("{}: {why}. Each of its lines is NAME = \"FOLDER\"", path.display()),
            )
        };
        let text = String::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        let written: BTreeMap<String, String> =
            toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let folder = |folder: String| match folder.strip_prefix("~/") {
            Some(rest) => etcetera::home_dir()
                .map(|home| home.join(rest))
                .map_err(|_| wrong(format!("{folder}: the user's home folder is not known"))),
            None => Ok(self.home().join(Path::new(&folder))),
        };
        written.into_iter().map(|(name, path)| Ok((name, folder(path)?))).collect()
    }
}
