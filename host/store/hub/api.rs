//! What a hub says of a repository: the commit that a revision stands for, and the files at it.

use serde::Deserialize;

use super::HubClient;
use super::options::Endpoint;
use super::refusal::Subject;
use crate::{Digest, GitHash, PartialKey, StoreError, StoreErrorKind};

/// The most files of a repository.
const MOST_FILES: usize = 50_000;

/// The most bytes of a file: far more than hubs have.
const MOST_BYTES: u64 = 1 << 44;

/// A repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its id as the hub has it: that of before a renaming leads to it.
    pub id: String,
    /// The commit: 40 hexadecimal digits.
    pub commit: String,
    /// The hub that said so, by its place among the client's endpoints.
    pub(crate) endpoint: usize,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path. A server may say anything: it is checked before it is used.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// By which hash the hub knows it.
    pub key: PartialKey,
}

#[derive(Deserialize)]
struct RawModel {
    id: String,
    sha: String,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<RawLfs>,
}

#[derive(Deserialize)]
struct RawLfs {
    oid: String,
    size: u64,
}

impl HubClient {
    /// What a revision of a repository stands for: one request.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::NoSuchRevision`], [`StoreErrorKind::Denied`] where the repository is
    /// gated or the token not accepted, [`StoreErrorKind::RateLimited`], [`StoreErrorKind::Unreachable`],
    /// [`StoreErrorKind::Offline`], [`StoreErrorKind::InvalidAnswer`]; each says what to do.
    pub async fn model(&self, repository: &str, revision: &str) -> Result<ModelInfo, StoreError> {
        let (owner, name) = parts(repository)?;
        let subject = Subject { repository: Some(repository), revision: Some(revision), file: None };
        let path = ["api", "models", owner, name, "revision", revision];
        let (RawModel { id, sha }, endpoint) = self.json(&path, &[], subject).await?;
        if GitHash::parse(&sha).is_none() || parts(&id).is_err() {
            let message = format!("{} says of {repository} what cannot be", self.hubs()[endpoint].name());
            return Err(StoreError::new(StoreErrorKind::InvalidAnswer, message));
        }
        Ok(ModelInfo { id, commit: sha, endpoint })
    }

    /// The files at a commit, as the first hub that lists them has it.
    ///
    /// # Errors
    /// As [`HubClient::model`] has them.
    pub async fn files(&self, repository: &str, model: &ModelInfo) -> Result<Vec<RemoteFile>, StoreError> {
        let mut hubs = self.hubs_from(model).peekable();
        loop {
            let Some(endpoint) = hubs.next() else { return Err(no_hub()) };
            match (self.files_at(endpoint, repository, &model.commit).await, hubs.peek()) {
                (Err(error), Some(next)) if is_the_hubs(&error) => tracing::warn!("{error}; asking {}", next.name()),
                (files, _) => return files,
            }
        }
    }

    /// The hub that told of a model first, then the others in order.
    pub(super) fn hubs_from(&self, model: &ModelInfo) -> impl Iterator<Item = &Endpoint> {
        let others = self.hubs().iter().enumerate().filter(|(number, _)| *number != model.endpoint);
        [&self.hubs()[model.endpoint]].into_iter().chain(others.map(|(_, endpoint)| endpoint))
    }

    async fn files_at(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        commit: &str,
    ) -> Result<Vec<RemoteFile>, StoreError> {
        let (owner, name) = parts(repository)?;
        let subject = Subject { repository: Some(repository), revision: Some(commit), file: None };
        let path = ["api", "models", owner, name, "tree", commit];
        let mut list = self.list::<RawEntry>(endpoint, &path, &[("recursive", "true")], subject);
        let entries = list.read(MOST_FILES + 1).await?;
        if entries.len() > MOST_FILES {
            let message = format!("{repository} has more than {MOST_FILES} files, so it is no model");
            return Err(StoreError::new(StoreErrorKind::InvalidModel, message));
        }
        let files = entries.iter().filter(|entry| entry.kind == "file").map(|entry| {
            let (size, key) = match &entry.lfs {
                Some(lfs) => (lfs.size, Digest::parse(&lfs.oid).map(PartialKey::Sha256)),
                None => (entry.size, GitHash::parse(&entry.oid).map(PartialKey::Git)),
            };
            let wrong = |what: String| {
                let message = format!("{} gives {what} of {:?}", endpoint.name(), entry.path);
                StoreError::new(StoreErrorKind::InvalidAnswer, message)
            };
            if size > MOST_BYTES {
                return Err(wrong(format!("{size} bytes as the size, more than any file has,")));
            }
            let key = key.ok_or_else(|| wrong("no hash, by which it could be checked,".to_owned()))?;
            Ok(RemoteFile { path: entry.path.clone(), size, key })
        });
        files.collect()
    }
}

/// Whether another hub may do better.
pub(super) fn is_the_hubs(error: &StoreError) -> bool {
    use StoreErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Unreachable
            | Kind::RateLimited
            | Kind::Denied
            | Kind::NotFound
            | Kind::NoSuchRevision
            | Kind::InvalidAnswer
            | Kind::Corrupt
    )
}

pub(super) fn no_hub() -> StoreError {
    StoreError::new(StoreErrorKind::InvalidInput, "no hub is named")
}

/// The two parts of a repository's id.
///
/// # Errors
/// [`StoreErrorKind::InvalidName`] where it has not two, or other characters than ids have.
pub(crate) fn parts(repository: &str) -> Result<(&str, &str), StoreError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_part = |part: &str| (1..=96).contains(&part.len()) && !part.starts_with('.') && part.bytes().all(is_plain);
    repository.split_once('/').filter(|(owner, name)| is_part(owner) && is_part(name)).ok_or_else(|| {
        let message = format!("{repository:?} is no model of a hub: write OWNER/NAME, such as Qwen/Qwen3-0.6B");
        StoreError::new(StoreErrorKind::InvalidName, message)
    })
}
