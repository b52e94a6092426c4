//! HTTP with a hub: as whom, how long, how often, and how much is read.

use std::io;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, IF_RANGE, LINK, LOCATION, RANGE};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use super::api::no_hub;
use super::options::Endpoint;
use super::refusal::{self, Subject};
use super::retry::{Failure, Retries};
use super::{HubOptions, Patience};
use crate::{StoreError, StoreErrorKind, tls};

/// The most bytes of an answer that is no file. A list of a thousand files has some 300 kB.
const MOST_JSON: usize = 32 << 20;

/// The most pages of a list: the hub's own have a thousand entries each. All together they have at most [`MOST_JSON`]
/// bytes.
const MOST_PAGES: usize = 200;

/// The most redirections on the way to one answer.
const MOST_REDIRECTIONS: usize = 10;

/// Who asks.
const USER_AGENT: &str = concat!("wasmlx/", env!("CARGO_PKG_VERSION"), " (https://github.com/wasmlx/wasmlx)");

/// A client of hubs that speak the Hugging Face hub's protocol. Cheap to clone; clones share their connections.
///
/// It goes through the proxies that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, and trusts whom
/// [`tls`] says. The token goes to the endpoints that [`HubOptions::token`] says and follows no redirection
/// to another host. Needs a tokio runtime with I/O and time.
#[derive(Debug, Clone)]
pub struct HubClient {
    http: reqwest::Client,
    endpoints: Arc<[Endpoint]>,
    authorization: Option<HeaderValue>,
    registry_logins: Option<Arc<Path>>,
    offline: bool,
    patience: Arc<Patience>,
}

/// An answer whose body is still to be read, and what was said on the way to it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: reqwest::Response,
    /// Where it came from, redirections followed.
    pub(crate) url: Url,
    /// The headers of the hub's own first answer.
    pub(crate) first: HeaderMap,
}

/// A JSON answer, which may be part of a list.
struct Page<T> {
    value: T,
    /// How long it was.
    bytes: usize,
    /// Where the list goes on.
    next: Option<Url>,
}

/// A list that one hub gives on pages, as far as it was read.
pub(crate) struct List<'a, T> {
    client: &'a HubClient,
    endpoint: &'a Endpoint,
    subject: Subject<'a>,
    entries: Vec<T>,
    next: Option<Url>,
    pages: usize,
    bytes: usize,
}

impl<T: DeserializeOwned> List<'_, T> {
    /// Its first entries: up to `most` of them. What was read before is not asked for again.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidAnswer`] where the pages have no end.
    pub(crate) async fn read(&mut self, most: usize) -> Result<&[T], StoreError> {
        let Self { client, endpoint, .. } = *self;
        while self.entries.len() < most
            && let Some(url) = self.next.take()
        {
            let page: Page<Vec<T>> = client.json_at(endpoint, &url, self.subject, client.patience.attempts).await?;
            self.entries.extend(page.value);
            (self.pages, self.bytes) = (self.pages + 1, self.bytes + page.bytes);
            if self.pages > MOST_PAGES || self.bytes > MOST_JSON {
                let message = format!("{} answers with pages without end", endpoint.name());
                return Err(StoreError::new(StoreErrorKind::InvalidAnswer, message));
            }
            self.next = page.next;
        }
        Ok(&self.entries[..self.entries.len().min(most)])
    }
}

impl HubClient {
    /// A client. No connection is made.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for an endpoint that is no address, [`StoreErrorKind::Io`] where further roots are
    /// named that cannot be read.
    pub fn new(options: HubOptions) -> Result<Self, StoreError> {
        let endpoints = Endpoint::parse_all(&options.endpoints)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(Arc::unwrap_or_clone(tls::client_config()?))
            .redirect(Policy::none())
            .user_agent(USER_AGENT)
            .connect_timeout(options.patience.connect)
            .read_timeout(options.patience.idle)
            .build()
            .map_err(|error| StoreError::new(StoreErrorKind::Io, format!("no HTTP client: {error}")))?;
        if options.token.is_some() && !endpoints[0].trusted {
            tracing::warn!("the token is not sent to {}: the connection is not encrypted", endpoints[0].name());
        }
        Ok(Self {
            http,
            endpoints: endpoints.into(),
            authorization: options.token.and_then(|token| token.header()),
            registry_logins: options.registry_logins.map(Into::into),
            offline: options.offline,
            patience: Arc::new(options.patience),
        })
    }

    /// The hubs that are asked, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(Endpoint::name)
    }

    /// Whether nobody is asked.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Where logins at registries are kept.
    pub(crate) fn registry_logins(&self) -> Option<&Path> {
        self.registry_logins.as_deref()
    }

    /// Whether somebody asks whom the first hub may know.
    pub(crate) fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(crate) fn hubs(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The JSON at a path (its parts, which are encoded here) of the first hub that has it, and that hub's place among
    /// the endpoints.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        subject: Subject<'_>,
    ) -> Result<(T, usize), StoreError> {
        let mut failed = None;
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            let url = address(endpoint, path, query);
            // Another hub is nearer than patience.
            let is_last = number + 1 == self.endpoints.len();
            let attempts = if is_last { self.patience.attempts } else { self.patience.attempts.min(2) };
            match self.json_at(endpoint, &url, subject, attempts).await {
                Ok(page) => return Ok((page.value, number)),
                Err(error) => {
                    if !is_last {
                        tracing::warn!("{error}; asking {}", self.endpoints[number + 1].name());
                    }
                    // That one is not reached tells less than what another said.
                    let tells = |error: &StoreError| error.kind() != StoreErrorKind::Unreachable;
                    if failed.is_none() || tells(&error) {
                        failed = Some(error);
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(no_hub))
    }

    /// A list that comes on pages, from one hub.
    pub(crate) fn list<'a, T>(
        &'a self,
        endpoint: &'a Endpoint,
        path: &[&str],
        query: &[(&str, &str)],
        subject: Subject<'a>,
    ) -> List<'a, T> {
        let next = Some(address(endpoint, path, query));
        List { client: self, endpoint, subject, entries: Vec::new(), next, pages: 0, bytes: 0 }
    }

    /// The JSON at an address.
    async fn json_at<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        subject: Subject<'_>,
        attempts: u32,
    ) -> Result<Page<T>, StoreError> {
        let mut retries = Retries::new(&self.patience, attempts);
        loop {
            let waited = || Failure::passing(format_args!("{} did not answer in time", endpoint.name()));
            let answered = timeout(self.patience.metadata, self.json_once(endpoint, url, subject)).await;
            match answered.unwrap_or_else(|_| Err(waited())) {
                Ok(answer) => return Ok(answer),
                Err(failure) => retries.pause(failure).await?,
            }
        }
    }

    async fn json_once<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        subject: Subject<'_>,
    ) -> Result<Page<T>, Failure> {
        let mut answer = self.get(endpoint, url, HeaderMap::new(), subject).await?;
        let mut body = Vec::new();
        while let Some(piece) = answer.response.chunk().await.map_err(|error| passing(endpoint, &error))? {
            if body.len() + piece.len() > MOST_JSON {
                let message = format!("{} answers without end, or more than {} MiB", endpoint.name(), MOST_JSON >> 20);
                return Err(StoreError::new(StoreErrorKind::InvalidAnswer, message).into());
            }
            body.extend_from_slice(&piece);
        }
        let value = serde_json::from_slice(&body).map_err(|error| {
            let message = format!("{} answers with what is not understood: {error}", endpoint.name());
            StoreError::new(StoreErrorKind::InvalidAnswer, message)
        })?;
        Ok(Page { value, bytes: body.len(), next: next_page(url, answer.response.headers()) })
    }

    /// One request, redirections followed. The answer is one of success.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        headers: HeaderMap,
        subject: Subject<'_>,
    ) -> Result<Answer, Failure> {
        let authorization = |to: &Url| self.authorization.clone().filter(|_| endpoint.trusted && endpoint.has(to));
        let answer = self.follow(endpoint, url, &headers, authorization).await?;
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let with_token = authorization(&answer.url).is_some();
        Err(refusal::failure(endpoint, subject, status, answer.response.headers(), with_token))
    }

    /// One request, redirections followed: the answer, whatever it says. `authorization` is what each address on the way
    /// is told.
    pub(super) async fn follow(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        headers: &HeaderMap,
        authorization: impl Fn(&Url) -> Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        if self.offline {
            return Err(StoreError::new(
                StoreErrorKind::Offline,
                "nothing is asked of a hub: offline was asked for (--offline, WASMLX_OFFLINE or HF_HUB_OFFLINE)",
            )
            .into());
        }
        let mut url = url.clone();
        let mut first = None;
        for _ in 0..=MOST_REDIRECTIONS {
            let mut request = self.http.get(url.clone()).headers(headers.clone());
            if let Some(authorization) = authorization(&url) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|error| passing(endpoint, &error))?;
            let head = first.get_or_insert_with(|| response.headers().clone());
            if !response.status().is_redirection() {
                return Ok(Answer { first: std::mem::take(head), response, url });
            }
            url = redirection(endpoint, &url, response.headers())?;
        }
        let message = format!("{} leads from redirection to redirection", endpoint.name());
        Err(StoreError::new(StoreErrorKind::InvalidAnswer, message).into())
    }
}

/// Headers that ask for a range of bytes, on condition that the file is still that of `etag`.
pub(crate) fn range_headers(range: &std::ops::Range<u64>, etag: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(RANGE, &format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    // A weak one does not say that bytes are the same (RFC 9110, 13.1.5).
    if let Some(etag) = etag.filter(|etag| !etag.starts_with("W/")) {
        set(IF_RANGE, etag);
    }
    headers
}

fn address(endpoint: &Endpoint, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = endpoint.join(path.iter().copied());
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Where an answer leads. What began encrypted stays so.
fn redirection(endpoint: &Endpoint, from: &Url, headers: &HeaderMap) -> Result<Url, StoreError> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let is_good = |to: &Url| to.scheme() == "https" || to.scheme() == "http" && from.scheme() == "http";
    to.filter(is_good).ok_or_else(|| {
        let message = format!("{} leads nowhere, or to where nothing is encrypted", endpoint.name());
        StoreError::new(StoreErrorKind::InvalidAnswer, message)
    })
}

/// The page after that at `url`, by `Link` (RFC 8288). Only its query counts: a hub behind a proxy may know neither its
/// own address nor what precedes its paths there, and a list leads to no other host.
fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let next = links.filter_map(|link| link.trim().split_once('>')).find(|(_, parameters)| {
        parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"))
    });
    let link = url.join(next?.0.trim_start_matches('<')).ok()?;
    let mut next = url.clone();
    next.set_query(Some(link.query()?));
    Some(next)
}

/// A request that failed on its way. An untrusted certificate does not get better, the rest may.
pub(crate) fn passing(endpoint: &Endpoint, error: &reqwest::Error) -> Failure {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(rustls::Error::InvalidCertificate(why)) = cause.downcast_ref() {
            let message = format!(
                "the certificate of {} is not trusted: {why}. Is its root in the file of {}?",
                endpoint.name(),
                tls::FURTHER_ROOTS
            );
            return StoreError::new(StoreErrorKind::Unreachable, message).into();
        }
        // An I/O error is not the source of itself: what it holds is looked at before what that comes from.
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| cause.source()) {
            Some(next) => cause = next,
            None => break,
        }
    }
    let why = match error.is_timeout() {
        true => "nothing came in time".to_owned(),
        // The last cause names no address, which may be a signed one.
        false => cause.to_string(),
    };
    let reached = if error.is_connect() { "cannot be reached" } else { "broke off" };
    let advice = match (error.is_connect(), endpoint.is_hub) {
        (true, true) => ". Is there a network, or a proxy to name (HTTPS_PROXY)? HF_ENDPOINT names another hub",
        (true, false) => ". Is there a network, or a proxy to name (HTTPS_PROXY)?",
        (false, _) => "",
    };
    Failure::passing(format_args!("{} {reached}: {why}{advice}", endpoint.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_at_the_address_of_the_first() {
        let first = Url::parse("https://mirror.example/hf/api/models?limit=2").unwrap();
        let next = |link: &str| {
            let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_str(link).unwrap())]);
            next_page(&first, &headers).map(String::from)
        };
        let second = Some("https://mirror.example/hf/api/models?limit=2&cursor=x".to_owned());
        for link in [
            r#"<https://huggingface.co/api/models?limit=2&cursor=x>; rel="next""#,
            "</api/models?limit=2&cursor=x>; rel=next",
            r#"<?cursor=y>; rel="prev", <?limit=2&cursor=x>; rel="next""#,
        ] {
            assert_eq!(next(link), second, "{link}");
        }
        for link in ["", "<?a=b>", r#"<https://huggingface.co/api/models>; rel="next""#] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
