//! Removing models, and what nobody needs.

use crate::files::io_error;
use crate::lock::FileLock;
use crate::pull::remove_intent;
use crate::sweep::Swept;
use crate::{Name, Store, StoreError, StoreErrorKind};

/// What removing came to.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Removed {
    /// The models that are gone, unfinished ones too.
    pub names: Vec<String>,
    /// What was removed with them.
    pub swept: Swept,
}

impl Store {
    /// Removes models, whole, broken or unfinished ones, and the files that no other model needs.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::InvalidName`] for a model that does not lie in the store, and a
    /// word that means several; [`StoreErrorKind::Busy`] where another process brings one of them in; nothing is
    /// removed then. [`StoreErrorKind::ReadOnly`], [`StoreErrorKind::Io`].
    pub fn remove(&self, models: &[impl AsRef<str>]) -> Result<Removed, StoreError> {
        let _store_lock = self.lock_to_write()?;
        let mut names = Vec::new();
        for text in models {
            let name = self.find_to_remove(text.as_ref())?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let intents: Vec<Option<FileLock>> =
            names.iter().map(|name| self.take_intent(name)).collect::<Result<_, _>>()?;
        for (name, intent) in names.iter().zip(intents) {
            self.remove_manifest(name)?;
            if intent.is_some() {
                remove_intent(&self.intent_path(name), &self.manifests_folder())?;
            }
        }
        Ok(Removed { names: names.iter().map(Name::to_string).collect(), swept: self.sweep()? })
    }

    /// Removes files that no model needs. With `unfinished` also what pulls and imports have brought that were cut
    /// short and that no process works at.
    ///
    /// # Errors
    /// [`StoreErrorKind::ReadOnly`], [`StoreErrorKind::Io`]. A manifest that cannot be read is no error, but
    /// [hinders](Swept::hindered) it.
    pub fn collect_garbage(&self, unfinished: bool) -> Result<Removed, StoreError> {
        let _store_lock = self.lock_to_write()?;
        let mut names = Vec::new();
        for name in self.intent_names()?.into_iter().filter(|_| unfinished) {
            let path = self.intent_path(&name);
            if FileLock::try_existing(&path)?.is_some() {
                remove_intent(&path, &self.manifests_folder())?;
                names.push(name.to_string());
            }
        }
        Ok(Removed { names, swept: self.sweep()? })
    }

    /// A model of the store, or one that is not finished: by its name, or the last part of it where only one has that.
    fn find_to_remove(&self, text: &str) -> Result<Name, StoreError> {
        let error = match self.find_stored(text) {
            Err(error) if error.kind() == StoreErrorKind::NotFound => error,
            found => return found,
        };
        let Ok(name) = Name::parse(text) else { return Err(error) };
        let mut unfinished = self.intent_names()?;
        if unfinished.contains(&name) {
            return Ok(name);
        }
        unfinished.retain(|other| !text.contains('/') && other.short().eq_ignore_ascii_case(name.short()));
        match &unfinished[..] {
            [one] => Ok(one.clone()),
            _ => Err(error),
        }
    }

    /// The lock of an intent; none where there is no intent.
    fn take_intent(&self, name: &Name) -> Result<Option<FileLock>, StoreError> {
        let path = self.intent_path(name);
        if !path.try_exists().map_err(|error| io_error("read", &path, &error))? {
            return Ok(None);
        }
        let busy = || {
            StoreError::new(
                StoreErrorKind::Busy,
                format!("another process brings the model {name} in; break that off first, or wait for its end"),
            )
        };
        FileLock::try_existing(&path)?.ok_or_else(busy).map(Some)
    }
}
