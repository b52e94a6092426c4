//! What there is to import: a folder, a file with its siblings, a Hugging Face cache.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{entries, io_error, read_bounded};
use crate::{Digest, GitHash, Name, StoreError, StoreErrorKind};

/// Kinds of files that a runner needs, besides weights, and what people want to keep with them.
const KEPT: [&str; 8] = ["json", "jinja", "model", "txt", "tiktoken", "md", "py", "license"];

/// Files without an extension that are kept.
const KEPT_NAMES: [&str; 3] = ["LICENSE", "NOTICE", "USE_POLICY"];

/// How deep folders are looked into.
const DEPTH: usize = 3;

/// What begins the name of a model's folder in a Hugging Face cache.
const CACHED: &str = "models--";

/// A model that can be imported.
pub(super) struct SourceModel {
    /// Where its files lie.
    pub(super) folder: PathBuf,
    pub(super) files: Vec<SourceFile>,
    /// The repository and revision, where it lies in a cache.
    cached: Option<(String, String)>,
}

/// A file to be imported.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// Its path in the model.
    pub(super) path: String,
    /// Where it lies.
    pub(super) found: PathBuf,
    /// Bytes.
    pub(super) size: u64,
    /// What a cache says that it is.
    pub(super) claimed: Option<Claimed>,
    /// Whether it was written for the store alone, which may take it from where it lies.
    pub(super) is_ours: bool,
}

/// What a file is said to be.
#[derive(Debug, Clone)]
pub(super) enum Claimed {
    Sha256(Digest),
    Git(GitHash),
}

impl SourceModel {
    /// Looks what a path leads to; `model` says which model of a cache.
    pub(super) fn find(path: &Path, model: Option<&str>) -> Result<Self, StoreError> {
        let path = path.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                StoreError::new(StoreErrorKind::NotFound, format!("there is no {}", path.display()))
            }
            _ => io_error("read", path, &error),
        })?;
        if path.is_file() {
            return Self::of_file(&path);
        }
        // Where the cache of the hub's own client lies in the cache of all its programs.
        let inner = path.join("hub");
        let cache = if cached_models(&path)?.is_empty() && inner.is_dir() { &inner } else { &path };
        let models = cached_models(cache)?;
        match model {
            Some(model) => {
                let folder = cache.join(format!("{CACHED}{}", model.replace('/', "--")));
                match folder.is_dir() {
                    true => Self::of_cached(&folder),
                    false => Err(not_cached(&format!("{} has no model {model}", cache.display()), &models)),
                }
            }
            None => match &models[..] {
                [] if repository(&path).is_some() => Self::of_cached(&path),
                [] => Self::of_folder(&path),
                [(_, folder)] => Self::of_cached(folder),
                _ => Err(not_cached(&format!("{} has several models; say which", cache.display()), &models)),
            },
        }
    }

    /// A model that was written for the store alone.
    pub(super) fn written(folder: &Path) -> Result<Self, StoreError> {
        let mut model = Self::of_folder(folder)?;
        model.files.iter_mut().for_each(|file| file.is_ours = true);
        Ok(model)
    }

    /// The name for it where the user says none.
    pub(super) fn name(&self) -> Result<Name, StoreError> {
        if let Some((repository, revision)) = &self.cached {
            return Name::parse(repository)?.with_tag(revision);
        }
        let folder = self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '-' }
        };
        let name: String = folder.trim_start_matches('.').chars().map(plain).take(96).collect();
        Name::parse(&name).map_err(|_| {
            StoreError::new(
                StoreErrorKind::InvalidName,
                format!("{} gives the model no name; give it one by --name", self.folder.display()),
            )
        })
    }

    /// A file of weights, with what lies beside it but for other weights.
    fn of_file(path: &Path) -> Result<Self, StoreError> {
        // What has another name is not loaded.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with("model") || !name.ends_with(".safetensors") {
            let message = format!("{} is no model: a folder or a model*.safetensors file is imported", path.display());
            return Err(StoreError::new(StoreErrorKind::InvalidModel, message));
        }
        let mut model = Self::of_folder(path.parent().unwrap_or(path))?;
        model.files.retain(|file| file.found == path || !file.path.ends_with(".safetensors"));
        // It says in which files weights lie.
        model.files.retain(|file| !file.path.ends_with(".safetensors.index.json"));
        Ok(model)
    }

    /// A folder as on Hugging Face, or one inside a cache.
    fn of_folder(folder: &Path) -> Result<Self, StoreError> {
        let mut files = Vec::new();
        collect(folder, "", DEPTH, &mut files)?;
        let has = |kind: &str| files.iter().any(|file| file.path.ends_with(kind));
        if !has("config.json") || !has(".safetensors") {
            let lacks = if has("config.json") { "no weights in .safetensors files" } else { "no config.json" };
            let gguf = entries(folder).is_ok_and(|files| {
                files.iter().any(|file| file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("gguf")))
            });
            let advice =
                if gguf { ". GGUF files do not run here; look for the same model in MLX's format" } else { "" };
            let message = format!("{} is no model that runs here: it has {lacks}{advice}", folder.display());
            return Err(StoreError::new(StoreErrorKind::InvalidModel, message));
        }
        Ok(Self { folder: folder.to_path_buf(), files, cached: snapshot(folder) })
    }

    /// A model of a cache: what its `main` stands for, else the one snapshot that there is.
    fn of_cached(folder: &Path) -> Result<Self, StoreError> {
        let snapshots = folder.join("snapshots");
        let commit = read_bounded(&folder.join("refs/main"), 256).ok().and_then(|text| String::from_utf8(text).ok());
        let named = commit.map(|commit| snapshots.join(commit.trim())).filter(|path| {
            // Somebody else wrote it.
            path.is_dir() && path.parent() == Some(&snapshots)
        });
        let there = entries(&snapshots).map_err(|error| io_error("read", &snapshots, &error))?;
        match (named, &there[..]) {
            (Some(snapshot), _) => Self::of_folder(&snapshot),
            (None, [snapshot]) => Self::of_folder(snapshot),
            (None, []) => Err(StoreError::new(
                StoreErrorKind::InvalidModel,
                format!("{} holds no snapshot of a model; was its download finished?", folder.display()),
            )),
            (None, several) => Err(StoreError::new(
                StoreErrorKind::InvalidModel,
                format!("{} holds {} snapshots; import one of them", snapshots.display(), several.len()),
            )),
        }
    }
}

/// The files of a folder that are to be imported. Hidden ones are not.
fn collect(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<SourceFile>) -> Result<(), StoreError> {
    for found in entries(folder).map_err(|error| io_error("read", folder, &error))? {
        let Some(name) = found.file_name().and_then(|name| name.to_str()) else { continue };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let file = fs::metadata(&found).map_err(|error| io_error("read", &found, &error))?;
        let is_link = fs::symlink_metadata(&found).is_ok_and(|entry| entry.is_symlink());
        if file.is_dir() && depth > 1 && !is_link {
            collect(&found, &path, depth - 1, files)?;
        } else if file.is_file() && is_kept(&found) {
            let claimed = if is_link { claimed(&found) } else { None };
            files.push(SourceFile { path, size: file.len(), claimed, found, is_ours: false });
        }
    }
    Ok(())
}

fn is_kept(path: &Path) -> bool {
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_ascii_lowercase();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    kind == "safetensors" || KEPT.contains(&&*kind) || KEPT_NAMES.contains(&name)
}

/// What a link into a cache's blobs says: their names are what the hub calls them by.
fn claimed(link: &Path) -> Option<Claimed> {
    let target = link.canonicalize().ok()?;
    if target.parent()?.file_name()? != "blobs" {
        return None;
    }
    let name = target.file_name()?.to_str()?;
    Digest::parse(name).map(Claimed::Sha256).or_else(|| GitHash::parse(name).map(Claimed::Git))
}

/// The repository that a folder of a cache is of: `models--OWNER--NAME`.
fn repository(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?.strip_prefix(CACHED)?;
    Some(name.replacen("--", "/", 1))
}

/// The repository and the revision of a snapshot in a cache.
fn snapshot(folder: &Path) -> Option<(String, String)> {
    let commit = folder.file_name()?.to_str()?;
    let snapshots = folder.parent()?;
    let model = snapshots.parent().filter(|_| snapshots.file_name().is_some_and(|name| name == "snapshots"))?;
    let main = read_bounded(&model.join("refs/main"), 256).unwrap_or_default();
    let revision = if main.trim_ascii() == commit.as_bytes() { "main" } else { commit };
    Some((repository(model)?, revision.to_owned()))
}

/// The models of a cache: each with its folder.
fn cached_models(cache: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let folders = entries(cache).map_err(|error| io_error("read", cache, &error))?;
    Ok(folders.into_iter().filter_map(|folder| Some((repository(&folder)?, folder))).collect())
}

fn not_cached(what: &str, models: &[(String, PathBuf)]) -> StoreError {
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    StoreError::new(StoreErrorKind::NotFound, format!("{what}. There is: {there}"))
}
