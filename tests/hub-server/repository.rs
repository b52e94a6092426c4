//! A repository of models: files at a commit, and what the hub says of them.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};

use crate::content::{Content, hex};

/// A repository at one commit. Giving the server another of the same id adds a commit, to which `main` moves.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) id: String,
    pub(crate) files: Vec<RepositoryFile>,
    pub(crate) gated: bool,
    pub(crate) private: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) former_id: Option<String>,
    pub(crate) fields: Map<String, Value>,
}

/// A file of a repository.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryFile {
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) size: u64,
    /// Git's hash: of the content, or of the pointer that stands in git for an LFS file.
    pub(crate) oid: String,
    pub(crate) lfs: Option<Lfs>,
}

/// What the hub says of an LFS file besides.
#[derive(Debug, Clone)]
pub(crate) struct Lfs {
    pub(crate) sha256: String,
    pub(crate) pointer_size: u64,
}

impl Repository {
    /// A public repository with no files, `NAMESPACE/NAME`.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            files: Vec::new(),
            gated: false,
            private: false,
            tags: Vec::new(),
            former_id: None,
            fields: Map::new(),
        }
    }

    /// The files under a folder, hidden ones left out. Weights and whatever has more than 10 MB are LFS files, as on
    /// the hub.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn from_folder(id: &str, folder: &Path) -> io::Result<Self> {
        let mut repository = Self::new(id);
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next)? {
                let path = entry?.path();
                let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                if hidden {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let content = Content::file(&path)?;
                let large = content.size() > 10_000_000 || is_weights(&name);
                repository = if large { repository.lfs(&name, content)? } else { repository.small(&name, content)? };
            }
        }
        Ok(repository)
    }

    /// With a file that lies in git itself. Its path is served as it stands, however bad.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Content>) -> Self {
        self.small(path, content.into()).expect("a file of the test can be read")
    }

    /// With an LFS file.
    #[must_use]
    pub fn large_file(self, path: &str, content: impl Into<Content>) -> Self {
        self.lfs(path, content.into()).expect("a file of the test can be read")
    }

    /// Files are given only to those who have access; the model's page is for all.
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// Nothing is told but to those who have access.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// With another name for this commit, beside `main`.
    #[must_use]
    pub fn tag(mut self, name: &str) -> Self {
        self.tags.push(name.to_owned());
        self
    }

    /// Renamed: it is given by that id, too.
    #[must_use]
    pub fn formerly(mut self, id: &str) -> Self {
        self.former_id = Some(id.to_owned());
        self
    }

    /// With a field of the hub's model information, such as `downloads`, `tags` or `config`.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Whether an id means it: its own in any case, or that of before a renaming. The hub redirects from those.
    pub(crate) fn is_called(&self, id: &str) -> bool {
        [Some(&self.id), self.former_id.as_ref()].into_iter().flatten().any(|own| own.eq_ignore_ascii_case(id))
    }

    /// The commit: a hash of what is in it.
    pub fn commit(&self) -> String {
        let mut hasher = Sha1::new();
        hasher.update(&self.id);
        for file in &self.files {
            hasher.update(format!("\0{}\0{}", file.path, file.oid));
        }
        hex(&hasher.finalize())
    }

    fn small(mut self, path: &str, content: Content) -> io::Result<Self> {
        let (size, oid) = (content.size(), content.git_hash()?);
        self.files.push(RepositoryFile { path: path.to_owned(), content, size, oid, lfs: None });
        Ok(self)
    }

    fn lfs(mut self, path: &str, content: Content) -> io::Result<Self> {
        let (size, sha256) = (content.size(), content.sha256()?);
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
        let lfs = Lfs { sha256, pointer_size: pointer.len() as u64 };
        let oid = Content::from(pointer.into_bytes()).git_hash()?;
        self.files.push(RepositoryFile { path: path.to_owned(), content, size, oid, lfs: Some(lfs) });
        Ok(self)
    }
}

impl RepositoryFile {
    /// By what the content is known: SHA-256 of LFS files, git's hash of others.
    pub(crate) fn content_hash(&self) -> &str {
        self.lfs.as_ref().map_or(&self.oid, |lfs| &lfs.sha256)
    }
}

/// What the hub's default `.gitattributes` gives to LFS whatever its length, as far as models have it.
fn is_weights(name: &str) -> bool {
    [".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".model"].iter().any(|end| name.ends_with(end))
}
