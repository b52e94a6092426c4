//! What a hub's "no" means, and what to do about it.

use std::time::SystemTime;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::options::Endpoint;
use super::retry::{Failure, rate_limit, retry_after};
use crate::{StoreError, StoreErrorKind};

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    /// The repository's id; nothing for a search.
    pub(crate) repository: Option<&'a str>,
    /// The revision, if one was named.
    pub(crate) revision: Option<&'a str>,
    /// A file of it.
    pub(crate) file: Option<&'a str>,
}

impl Subject<'_> {
    fn name(&self) -> String {
        let repository = self.repository.unwrap_or("the list of models");
        match self.file {
            Some(file) => format!("{file} of {repository}"),
            None => repository.to_owned(),
        }
    }
}

/// An answer that is not what was asked for. The server's own words are left out: it may be anybody's.
pub(super) fn failure(
    endpoint: &Endpoint,
    subject: Subject<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    with_token: bool,
) -> Failure {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (hub, what) = (endpoint.name(), subject.name());
    let repository = subject.repository.unwrap_or_default();
    let code = text("x-error-code").unwrap_or_default();
    let error = |kind, message: String| Failure::Final(StoreError::new(kind, message));
    match (code, status.as_u16()) {
        ("GatedRepo", _) if with_token => error(
            StoreErrorKind::Denied,
            format!(
                "{repository} is gated, and the account of your token has no access to it yet: accept its terms at \
                 {hub}/{repository}, and pull again once access is given"
            ),
        ),
        ("GatedRepo", _) => error(
            StoreErrorKind::Denied,
            format!(
                "{repository} is gated: log in at {hub}/{repository} and accept its terms there; then make a token that \
                 may read at {hub}/settings/tokens, and give it by HF_TOKEN or `hf auth login`"
            ),
        ),
        ("RevisionNotFound", _) => error(
            StoreErrorKind::NoSuchRevision,
            format!(
                "{repository} has no revision {}: {hub}/{repository}/tree/main shows its branches, tags and commits",
                subject.revision.unwrap_or("main")
            ),
        ),
        ("EntryNotFound", _) | (_, 404) if code != "RepoNotFound" && subject.file.is_some() => {
            error(StoreErrorKind::NotFound, format!("{hub} has no {what}"))
        }
        (_, 401) if with_token && code != "RepoNotFound" => error(
            StoreErrorKind::Denied,
            format!(
                "{hub} does not accept your token: it is mistyped, expired or was withdrawn. Make another at \
                 {hub}/settings/tokens, and give it by HF_TOKEN or `hf auth login`; or go without"
            ),
        ),
        ("RepoNotFound", _) | (_, 401 | 404) if subject.repository.is_some() => error(
            StoreErrorKind::NotFound,
            format!(
                "{hub} shows no model {repository}: look at the spelling, by `wasmlx search` for example. {}",
                match with_token {
                    true => "If it is private, the account of your token has no access to it",
                    false => "If it is private, give a token that may read it, by HF_TOKEN or `hf auth login`",
                }
            ),
        ),
        (_, 401 | 403) => {
            error(StoreErrorKind::Denied, format!("{hub} does not give {what} to this account or address"))
        }
        (_, 429) => {
            let wait = text(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, SystemTime::now()));
            let wait = wait.or_else(|| text("ratelimit").and_then(rate_limit));
            let when = wait.map_or(String::new(), |wait| format!(", by its word for {} s more", wait.as_secs()));
            let login = if with_token { "" } else { "; with a token (HF_TOKEN, `hf auth login`) it allows more" };
            let message = format!("{hub} was asked too often and gives no {what} for now{when}{login}");
            Failure::Passing(StoreError::new(StoreErrorKind::RateLimited, message), wait)
        }
        (_, 408 | 500..) => {
            let wait = text(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, SystemTime::now()));
            let message = format!("{hub} is out of order: asked for {what} it answered {status}");
            Failure::Passing(StoreError::new(StoreErrorKind::Unreachable, message), wait)
        }
        _ => error(StoreErrorKind::InvalidAnswer, format!("{hub} answered {status}, asked for {what}")),
    }
}
