//! When models were used, and how often. It is kept beside all else: losing it loses nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::{UNFINISHED, io_error, read_bounded};
use crate::manifest::MANIFEST_BYTES;
use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Store, StoreError};

/// How a model was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When last, in seconds since 1970.
    pub last_used: u64,
    /// How often it was loaded.
    pub times_used: u64,
}

/// What lies in usage.json: by the name that is shown.
#[derive(Default, Serialize, Deserialize)]
struct Used {
    models: BTreeMap<String, Usage>,
}

impl Store {
    /// Takes note that a model was loaded: its name is that of [`ModelFolder::name`](crate::ModelFolder::name).
    ///
    /// # Errors
    /// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly), and what files fail with. Nothing depends on it.
    pub fn note_use(&self, name: &str) -> Result<(), StoreError> {
        self.change_usage(|models| {
            let usage = models.entry(name.to_owned()).or_default();
            usage.last_used = now();
            usage.times_used = usage.times_used.saturating_add(1);
        })
    }

    /// How models were used, by name. One that cannot be read is forgotten.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        let text = read_bounded(&self.usage_path(), MANIFEST_BYTES).ok();
        text.and_then(|text| parse_versioned::<Used>(&text).ok()).unwrap_or_default().models
    }

    /// Changes it under the lock. It need not be on the disk at once, so loading a model does not wait for that.
    fn change_usage(&self, change: impl FnOnce(&mut BTreeMap<String, Usage>)) -> Result<(), StoreError> {
        let _store_lock = self.lock_to_write()?;
        let mut models = self.usage();
        change(&mut models);
        let (path, unfinished) = (self.usage_path(), self.usage_path().with_added_extension(UNFINISHED));
        let write = || {
            fs::write(&unfinished, to_versioned_json(&Used { models })?)?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| io_error("write", &path, &error))
    }

    fn usage_path(&self) -> PathBuf {
        self.home().join("usage.json")
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
