//! The one folder that holds everything the program writes.

use std::path::PathBuf;

use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

use crate::{StoreError, StoreErrorKind};

/// The environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "WASMLX_HOME";

/// `WASMLX_HOME`, else the platform's folder for an application's data: `~/.local/share/wasmlx` by the XDG Base
/// Directory Specification 0.8, `~/Library/Application Support/wasmlx` on macOS, `%APPDATA%\wasmlx` on Windows.
///
/// # Errors
/// [`StoreErrorKind::NoHome`] where the user's own home folder is not known either.
pub fn home() -> Result<PathBuf, StoreError> {
    if let Some(home) = std::env::var_os(HOME_VARIABLE).filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    platform_folder().ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::NoHome,
            format!("the user's home folder is not known; set {HOME_VARIABLE} to a folder that may be written to"),
        )
    })
}

fn platform_folder() -> Option<PathBuf> {
    choose_native_strategy().ok().map(|platform| platform.data_dir().join("wasmlx"))
}
