//! Taking a model into the store with its weights quantised: somebody else writes them anew, the other files stay as
//! they are.

use std::path::{Path, PathBuf};

use super::source::SourceModel;
use super::{Imported, Staging, taken};
use crate::files::make_folder;
use crate::{Content, DEFAULT_MODEL, ModelFacts, ModelFolder, Monitor, Name, Source, Store, StoreError};

/// A model whose weights are being quantised. Dropped, it leaves nothing behind; where its process is killed, what it
/// had written is swept with the next change of the store.
pub struct Conversion {
    source: SourceModel,
    name: Name,
    origin: Source,
    staging: Staging,
    destination: PathBuf,
    /// What is read, where it is a model of the store.
    _folder: Option<ModelFolder>,
}

impl Conversion {
    /// What the model will be called.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The folder of the model as it is.
    pub fn source(&self) -> &Path {
        &self.source.folder
    }

    /// Where `config.json`, the weights and their index are to be written: an empty folder.
    pub fn destination(&self) -> &Path {
        &self.destination
    }
}

impl Store {
    /// Begins to take a model into the store with its weights quantised: a model of the store where `path` is no path,
    /// else what [`Store::import`] takes. What is left out of `name`: the model's own and the bits, `NAME-4bit`.
    ///
    /// # Errors
    /// As [`Store::import`].
    pub fn begin_conversion(
        &self,
        path: &Path,
        model: Option<&str>,
        name: Option<&str>,
        bits: u32,
        group_size: u32,
    ) -> Result<Conversion, StoreError> {
        let stored = path.to_str().filter(|_| model.is_none() && !path.exists());
        let (source, folder, own_name, from, commit) = match stored {
            Some(stored) => {
                let commit = match self.show(stored)?.content {
                    Content::Stored(manifest) => manifest.commit().map(str::to_owned),
                    Content::Folder(_) => None,
                };
                let folder = self.resolve(Some(stored))?;
                let own_name = folder.name().rsplit('/').next().unwrap_or_default().replace(':', "-");
                let (source, from) = (SourceModel::find(folder.path(), None)?, folder.name().to_owned());
                (source, Some(folder), own_name, from, commit)
            }
            None => {
                let source = SourceModel::find(path, model)?;
                let own_name = source.name()?.short().to_owned();
                let from = source.folder.display().to_string().replace(char::is_control, "?");
                (source, None, own_name, from, None)
            }
        };
        let name = name.map_or_else(|| Name::parse(&format!("{own_name}-{bits}bit")), Name::parse)?;
        if name.to_string() == DEFAULT_MODEL || self.manifest(&name)?.is_some() {
            return Err(taken(&name, "a model has it"));
        }
        let origin = Source::Conversion { from, commit, bits, group_size };
        let staging = self.staging()?;
        let destination = staging.converted();
        make_folder(&destination)?;
        Ok(Conversion { source, name, origin, staging, destination, _folder: folder })
    }

    /// Takes what was written into the store, with the model's other files.
    ///
    /// # Errors
    /// As [`Store::import`].
    pub fn finish_conversion(&self, conversion: Conversion, monitor: &Monitor<'_>) -> Result<Imported, StoreError> {
        let Conversion { mut source, name, origin, staging, destination, _folder } = conversion;
        let written = SourceModel::written(&destination)?;
        let is_weights = |path: &str| path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json");
        let is_anew = |path: &str| written.files.iter().any(|file| file.path == path);
        source.files.retain(|file| !is_weights(&file.path) && !is_anew(&file.path));
        source.files.extend(written.files);
        let facts = ModelFacts::of_folder(&destination);
        let imported = self.take(&name, source, origin, facts, monitor);
        // It is removed with its folder, from which all has been taken.
        drop(staging);
        imported
    }
}
