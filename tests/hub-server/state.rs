//! What a server has: repositories, faults, tokens, and what was asked of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha1::{Digest as _, Sha1};

use crate::content::hex;
use crate::fault::{Action, Fault};
use crate::http::Request;
use crate::registry::Artifact;
use crate::repository::Repository;

/// A request that was answered, or is being answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// `Range`, as it was sent.
    pub range: Option<String>,
    /// `Authorization`, as it was sent.
    pub authorization: Option<String>,
    /// Whether it came to the CDN's address, not to the hub's.
    pub at_cdn: bool,
    /// The status of the answer; 0 where none was sent.
    pub status: u16,
    /// The bytes of the body that were sent so far.
    pub sent: u64,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// No token.
    Nobody,
    /// A token that the hub does not know.
    Unknown,
    /// Somebody who has access to nothing in particular.
    Stranger,
    /// Somebody who has access to everything.
    Member,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// In the order in which they came: the last of an id is its `main`.
    repositories: Mutex<Vec<Repository>>,
    artifacts: Mutex<Vec<Artifact>>,
    faults: Mutex<Vec<Fault>>,
    tokens: Mutex<Vec<(String, bool)>>,
    log: Mutex<Vec<Recorded>>,
    hub: String,
    cdn: String,
    /// Bytes a second of each connection; 0 for as many as it takes.
    throttle: AtomicU64,
    /// 0 for the hub's own.
    page_size: AtomicU64,
    /// Part of signatures.
    epoch: AtomicU64,
}

impl State {
    pub(crate) fn new(hub: String, cdn: String) -> Self {
        Self { hub, cdn, ..Self::default() }
    }

    pub(crate) fn hub_url(&self) -> &str {
        &self.hub
    }

    pub(crate) fn cdn_url(&self) -> &str {
        &self.cdn
    }

    pub(crate) fn add(&self, repository: Repository) {
        lock(&self.repositories).push(repository);
    }

    pub(crate) fn all(&self) -> Vec<Repository> {
        lock(&self.repositories).clone()
    }

    pub(crate) fn add_artifact(&self, artifact: Artifact) {
        lock(&self.artifacts).push(artifact);
    }

    pub(crate) fn artifacts(&self) -> Vec<Artifact> {
        lock(&self.artifacts).clone()
    }

    /// Each repository at its `main`.
    pub(crate) fn newest(&self) -> Vec<Repository> {
        let mut newest: Vec<Repository> = Vec::new();
        for repository in self.all() {
            match newest.iter_mut().find(|known| known.id == repository.id) {
                Some(known) => *known = repository,
                None => newest.push(repository),
            }
        }
        newest
    }

    /// A repository's commits, the oldest first; at least one.
    pub(crate) fn commits(&self, id: &str) -> Option<Vec<Repository>> {
        let commits: Vec<_> =
            lock(&self.repositories).iter().filter(|repository| repository.is_called(id)).cloned().collect();
        (!commits.is_empty()).then_some(commits)
    }

    pub(crate) fn add_fault(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    /// What goes wrong with this request: the first fault that is for it.
    pub(crate) fn fault(&self, path: &str) -> Option<Action> {
        lock(&self.faults).iter_mut().find_map(|fault| fault.meet(path))
    }

    pub(crate) fn add_token(&self, token: &str, member: bool) {
        lock(&self.tokens).push((token.to_owned(), member));
    }

    pub(crate) fn bearer(&self, request: &Request) -> Bearer {
        let Some(header) = request.header("authorization") else {
            return Bearer::Nobody;
        };
        let tokens = lock(&self.tokens);
        match tokens.iter().find(|(token, _)| header.strip_prefix("Bearer ") == Some(token)) {
            Some((_, true)) => Bearer::Member,
            Some((_, false)) => Bearer::Stranger,
            None => Bearer::Unknown,
        }
    }

    pub(crate) fn set_throttle(&self, bytes_per_second: u64) {
        self.throttle.store(bytes_per_second, Ordering::Relaxed);
    }

    pub(crate) fn throttle(&self) -> Option<u64> {
        Some(self.throttle.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    pub(crate) fn set_page_size(&self, entries: usize) {
        self.page_size.store(entries as u64, Ordering::Relaxed);
    }

    pub(crate) fn page_size(&self) -> Option<usize> {
        Some(self.page_size.load(Ordering::Relaxed) as usize).filter(|entries| *entries > 0)
    }

    /// From now on other signatures are good.
    pub(crate) fn expire_links(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn signature(&self, sha256: &str) -> String {
        let mut hasher = Sha1::new();
        hasher.update(format!("{} {sha256}", self.epoch.load(Ordering::Relaxed)));
        hex(&hasher.finalize())
    }

    pub(crate) fn signed_url(&self, sha256: &str) -> String {
        format!("{}/cdn/{sha256}?Expires=4102444800&Signature={}", self.cdn, self.signature(sha256))
    }

    /// Notes a request; the number is for [`State::note`].
    pub(crate) fn record(&self, recorded: Recorded) -> usize {
        let mut log = lock(&self.log);
        log.push(recorded);
        log.len() - 1
    }

    pub(crate) fn note(&self, number: usize, change: impl FnOnce(&mut Recorded)) {
        // None where the log was cleared meanwhile.
        if let Some(recorded) = lock(&self.log).get_mut(number) {
            change(recorded);
        }
    }

    pub(crate) fn log(&self) -> Vec<Recorded> {
        lock(&self.log).clone()
    }

    pub(crate) fn clear_log(&self) {
        lock(&self.log).clear();
    }
}

/// What a panicking thread left is still good: each change here is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
