//! The models that there are: what a user's word for one means, what is known of each, what it is bound to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalogue::catalogue_name;
use crate::files::folder_size;
use crate::lock::FileLock;
use crate::partial::{self, PartialKey};
use crate::pull::Intent;
use crate::views::{View, damaged};
use crate::{
    Bindings, DEFAULT_MODEL, HUB, MAPPING, Manifest, ModelFacts, ModelFolder, Name, Store, StoreError, StoreErrorKind,
    Usage,
};

/// At most so many names are told to somebody who asked for another.
const TOLD_NAMES: usize = 20;

/// A model of the store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StoredModel {
    /// Its name.
    pub name: String,
    /// The shortest name that means it too.
    pub short_name: String,
    /// What is known of it.
    pub facts: ModelFacts,
    /// Bytes of its files.
    pub size: u64,
    /// How it was used; none where it never was.
    pub usage: Option<Usage>,
    /// What it is made of.
    pub content: Content,
}

/// What a model of the store is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Files of the store.
    Stored(Box<Manifest>),
    /// A folder of the user's own, named in `models.toml`.
    Folder(PathBuf),
}

/// A model that is not there yet: a pull or an import that was not finished.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnfinishedModel {
    /// Its name.
    pub name: String,
    /// Bytes that have come.
    pub done: u64,
    /// Bytes in all, as far as that is known.
    pub total: u64,
    /// Whether a process works at it now.
    pub is_active: bool,
}

/// A model that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenModel {
    /// Its name, or that of the mapping file.
    pub name: String,
    /// Why, and what to do.
    pub why: String,
}

/// The models that there are; the one that ships with the program is not among them.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelList {
    /// Those that can be used, by name.
    pub models: Vec<StoredModel>,
    /// Those that are not whole yet.
    pub unfinished: Vec<UnfinishedModel>,
    /// Those that cannot be used.
    pub broken: Vec<BrokenModel>,
}

/// What a user's word for a model means.
pub(crate) enum Found {
    Stored(Name),
    Mapped(String, PathBuf),
}

impl Store {
    /// The folder of a model.
    ///
    /// `name` is `builtin` or nothing (the model that ships with the program); a name in `models.toml`; a name in the
    /// store, of which the last part is enough where only one model has it, in any case; or a folder that holds a
    /// `config.json`. A model of the store wins over a folder of the same name here, which is meant by `./NAME`.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] says what there is instead; [`StoreErrorKind::InvalidModel`] where the folder has
    /// no `config.json`; [`StoreErrorKind::InvalidManifest`] and [`StoreErrorKind::Corrupt`] for a model of the store
    /// that was damaged; [`StoreErrorKind::Io`].
    pub fn resolve(&self, name: Option<&str>) -> Result<ModelFolder, StoreError> {
        let Some(text) = name.filter(|name| *name != DEFAULT_MODEL) else { return self.default_model() };
        match self.find(text)? {
            Some(Found::Mapped(name, folder)) => Ok(open_mapped(&name, &folder)?.stored()),
            Some(Found::Stored(name)) => {
                let Some(manifest) = self.locked_manifest(&name)? else { return Err(self.not_found(text)) };
                let View { path, in_use } = self.view(&manifest)?;
                let folder =
                    ModelFolder::open_named(&name.to_string(), path).map_err(|error| match manifest.what_lacks() {
                        Some(what) => StoreError::new(error.kind(), format!("{error}; {what}")),
                        None => error,
                    })?;
                Ok(folder.of_manifest(manifest, in_use))
            }
            None if Path::new(text).is_dir() => ModelFolder::open(text.into()),
            None => Err(self.not_found(text)),
        }
    }

    /// The models that there are.
    ///
    /// # Errors
    /// [`StoreErrorKind::Io`] where a folder cannot be read. A model that is damaged is no error of the others.
    pub fn list(&self) -> Result<ModelList, StoreError> {
        let _store_lock = self.lock_to_read()?;
        let mut list = ModelList::default();
        let (manifests, usage) = (self.manifests()?, self.usage());
        let mapping = self.mapping().unwrap_or_else(|error| {
            list.broken.push(BrokenModel::new(MAPPING, &error));
            Default::default()
        });
        let names: Vec<&Name> = manifests.iter().map(|(name, _)| name).collect();
        let short = |name: &Name| short_name(name, &names, &mapping);
        for (name, manifest) in manifests.iter().cloned() {
            let whole = manifest.and_then(|manifest| match self.missing_file(&manifest) {
                Some(path) => Err(damaged(&manifest, path)),
                None => Ok(manifest),
            });
            match whole {
                Ok(manifest) => list.models.push(StoredModel::of_manifest(short(&name), manifest, &usage)),
                Err(error) => list.broken.push(BrokenModel::new(&name.to_string(), &error)),
            }
        }
        for (name, folder) in mapping.iter() {
            match open_mapped(name, folder) {
                Ok(_) => list.models.push(StoredModel::of_folder(name, folder, &usage)),
                Err(error) => list.broken.push(BrokenModel::new(name, &error)),
            }
        }
        for name in self.intent_names()? {
            match self.intent(&name) {
                Ok(Some(intent)) => list.unfinished.push(self.unfinished(&name, &intent)),
                Ok(None) => {}
                Err(error) => list.broken.push(BrokenModel::new(&name.to_string(), &error)),
            }
        }
        list.models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(list)
    }

    /// One of them, or the one that ships with the program.
    ///
    /// # Errors
    /// As [`Store::resolve`], but for folders, which are none of the store's.
    pub fn show(&self, text: &str) -> Result<StoredModel, StoreError> {
        let usage = self.usage();
        if text == DEFAULT_MODEL {
            return Ok(StoredModel::of_folder(text, self.default_model()?.path(), &usage));
        }
        match self.find(text)? {
            Some(Found::Mapped(name, folder)) => {
                open_mapped(&name, &folder)?;
                Ok(StoredModel::of_folder(&name, &folder, &usage))
            }
            Some(Found::Stored(name)) => {
                let Some(manifest) = self.locked_manifest(&name)? else { return Err(self.not_found(text)) };
                let names = self.manifests()?;
                let names: Vec<&Name> = names.iter().map(|(name, _)| name).collect();
                let short = short_name(&name, &names, &self.mapping()?);
                Ok(StoredModel::of_manifest(short, manifest, &usage))
            }
            None => Err(self.not_found(text)),
        }
    }

    /// The names of the models in the store, sorted; the one that ships with the program is not among them.
    pub fn names(&self) -> Vec<String> {
        // What cannot be read has no names to tell; who asks for one of them is told why.
        let stored = self.manifests().unwrap_or_default().into_iter().map(|(name, _)| name.to_string());
        let mut names: Vec<String> = stored.chain(self.mapping().unwrap_or_default().into_keys()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Changes what a model is bound to.
    ///
    /// # Errors
    /// As [`Store::resolve`]; [`StoreErrorKind::InvalidName`] for a model that has no manifest to be bound in;
    /// [`StoreErrorKind::ReadOnly`].
    pub fn bind(&self, text: &str, change: impl FnOnce(&mut Bindings)) -> Result<Manifest, StoreError> {
        let name = self.find_stored(text)?;
        let _store_lock = self.lock_to_write()?;
        let Some(mut manifest) = self.manifest(&name)? else { return Err(self.not_found(text)) };
        change(&mut manifest.bindings);
        self.write_manifest(&manifest)?;
        Ok(manifest)
    }

    /// What a user's word for a model means in the store; none where it means nothing there.
    pub(crate) fn find(&self, text: &str) -> Result<Option<Found>, StoreError> {
        if let Some(folder) = self.mapping()?.remove(text) {
            return Ok(Some(Found::Mapped(text.to_owned(), folder)));
        }
        let Ok(name) = Name::parse(text) else { return Ok(None) };
        // Names are compared, not looked for: not every disk tells case apart.
        let names = self.model_names()?;
        if names.contains(&name) {
            return Ok(Some(Found::Stored(name)));
        }
        let is_short = !text.contains('/');
        let has_tag = text.contains(':');
        let means = |other: &&Name| match is_short {
            true => other.short().eq_ignore_ascii_case(name.short()) && (!has_tag || other.tag() == name.tag()),
            false => other.is_like(&name, has_tag),
        };
        let mut meant: Vec<&Name> = names.iter().filter(means).collect();
        if meant.len() > 1 && !has_tag && meant.iter().filter(|other| other.tag() == name.tag()).count() == 1 {
            meant.retain(|other| other.tag() == name.tag());
        }
        match meant[..] {
            [] => Ok(catalogue_name(text).filter(|name| names.contains(name)).map(Found::Stored)),
            [one] => Ok(Some(Found::Stored(one.clone()))),
            _ => {
                let names: Vec<String> = meant.iter().map(ToString::to_string).collect();
                let message = format!("{text} can mean several models: {}. Say which", names.join(", "));
                Err(StoreError::new(StoreErrorKind::InvalidName, message))
            }
        }
    }

    /// The name of the model from a hub that a short name means.
    pub fn name_from_a_hub(&self, short: &str) -> Option<Name> {
        let found = self.find(short).ok().filter(|_| !short.contains('/'))?;
        let Some(Found::Stored(name)) = found else { return None };
        Some(name).filter(|name| name.host() == HUB)
    }

    /// The name of a model that lies in the store.
    pub(crate) fn find_stored(&self, text: &str) -> Result<Name, StoreError> {
        let not_stored = |what: String| Err(StoreError::new(StoreErrorKind::InvalidName, what));
        if text == DEFAULT_MODEL {
            return not_stored(format!("{DEFAULT_MODEL} ships with the program and does not lie in the store"));
        }
        match self.find(text)? {
            Some(Found::Stored(name)) => Ok(name),
            Some(Found::Mapped(name, folder)) => not_stored(format!(
                "{name} is a folder of your own, {}, that {} names; change that file",
                folder.display(),
                self.home().join(MAPPING).display()
            )),
            None => Err(self.not_stored(text)),
        }
    }

    /// That there is no such model to be used.
    pub(crate) fn not_found(&self, text: &str) -> StoreError {
        let fetch = match Name::parse(text) {
            Ok(_) if catalogue_name(text).is_some() => format!(". `wasmlx pull {text}` fetches it from the hub"),
            Ok(name) if name.host() == HUB => format!(". `wasmlx pull {name}` fetches it from the hub"),
            _ => String::new(),
        };
        StoreError::new(
            StoreErrorKind::NotFound,
            format!(
                "no model '{text}': there is no such folder here, and the store in {} has: {}{fetch}",
                self.home().display(),
                told([DEFAULT_MODEL.to_owned()].into_iter().chain(self.names()).collect())
            ),
        )
    }

    /// That there is no such model to be changed.
    fn not_stored(&self, text: &str) -> StoreError {
        let has = match self.names() {
            names if names.is_empty() => "is empty".to_owned(),
            names => format!("has: {}", told(names)),
        };
        let message = format!("no model '{text}' lies in the store in {}, which {has}", self.home().display());
        StoreError::new(StoreErrorKind::NotFound, message)
    }

    /// A manifest, read while nobody changes the store.
    pub(crate) fn locked_manifest(&self, name: &Name) -> Result<Option<Manifest>, StoreError> {
        let _store_lock = self.lock_to_read()?;
        self.manifest(name)
    }

    /// A file of a model that the store lacks, or has with another size.
    pub(crate) fn missing_file<'a>(&self, manifest: &'a Manifest) -> Option<&'a str> {
        let blobs = self.blobs();
        let missing = manifest.files.iter().find(|file| !blobs.contains(&file.sha256, file.size));
        missing.map(|file| file.path.as_str())
    }

    fn unfinished(&self, name: &Name, intent: &Intent) -> UnfinishedModel {
        let blobs = self.blobs();
        let done = |key: PartialKey, size: u64| size.saturating_sub(partial::needed(&blobs, key, size));
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        UnfinishedModel {
            name: name.to_string(),
            done: sum(&mut intent.all().map(|file| done(file.key, file.size))),
            total: sum(&mut intent.all().map(|file| file.size)),
            is_active: FileLock::is_held(&self.intent_path(name)),
        }
    }
}

impl StoredModel {
    fn of_manifest(short_name: String, manifest: Manifest, usage: &BTreeMap<String, Usage>) -> Self {
        let name = manifest.name.to_string();
        Self {
            usage: usage.get(&name).copied(),
            short_name,
            facts: manifest.facts.clone(),
            size: manifest.size(),
            content: Content::Stored(Box::new(manifest)),
            name,
        }
    }

    fn of_folder(name: &str, folder: &Path, usage: &BTreeMap<String, Usage>) -> Self {
        Self {
            name: name.to_owned(),
            short_name: name.to_owned(),
            facts: ModelFacts::of_folder(folder),
            size: folder_size(folder),
            usage: usage.get(name).copied(),
            content: Content::Folder(folder.to_path_buf()),
        }
    }
}

impl BrokenModel {
    fn new(name: &str, error: &StoreError) -> Self {
        Self { name: name.to_owned(), why: error.to_string() }
    }
}

/// A folder that `models.toml` names.
fn open_mapped(name: &str, folder: &Path) -> Result<ModelFolder, StoreError> {
    ModelFolder::open_named(name, folder.to_path_buf()).map_err(|error| {
        StoreError::new(error.kind(), format!("the model {name}, which {MAPPING} names, cannot be used: {error}"))
    })
}

/// Names for a sentence.
fn told(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(TOLD_NAMES);
    names.truncate(TOLD_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// The shortest name that means a model: its last part, where nothing else has it.
fn short_name(name: &Name, names: &[&Name], mapping: &BTreeMap<String, PathBuf>) -> String {
    let same = names.iter().filter(|other| other.short().eq_ignore_ascii_case(name.short())).count();
    match same == 1 && !mapping.contains_key(name.short()) && name.short() != DEFAULT_MODEL {
        true => name.short().to_owned(),
        false => name.to_string(),
    }
}
