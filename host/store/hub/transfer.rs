//! The bytes of one file: in parts, each on a connection of its own, each taken up where it broke off.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use url::Url;

use super::client::{Answer, passing, range_headers};
use super::options::Endpoint;
use super::refusal::Subject;
use super::retry::{Failure, Retries};
use super::{HubClient, Patience};
use crate::{Partial, PartialKey, StoreError, StoreErrorKind, WantedFile};

/// Parts are so large at least: each takes a request.
const LEAST_PART: u64 = 4 << 20;

/// And so large at most. What is on its way out of order waits to be hashed.
const MOST_PART: u64 = 32 << 20;

/// An attempt that brought so many bytes was none in vain.
const ENOUGH: u64 = 64 << 10;

/// Fewer bytes a second count as silence.
const SLOWEST: u64 = 1 << 10;

/// How often a file is begun anew because its ETag is another. After that only its hash is looked at: servers that share
/// the work may not agree on ETags. Those of files whose SHA-256 is known are not looked at: servers call the same bytes
/// otherwise, and a large file is not fetched again for a name.
const MOST_RESETS: u32 = 2;

/// What the transfers of one pull share.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) client: HubClient,
    pub(super) repository: String,
    pub(super) commit: String,
    /// One for each connection.
    pub(super) permits: Semaphore,
    pub(super) connections: usize,
    /// Bytes that are there.
    pub(super) done: AtomicU64,
    /// Bytes that came over the network.
    pub(super) fetched: AtomicU64,
}

/// One file from one hub.
struct Transfer {
    traffic: Arc<Traffic>,
    endpoint: Endpoint,
    file: WantedFile,
    partial: Arc<Partial>,
    /// Where the hub said that the bytes are; such an address may be good for an hour.
    location: Mutex<Option<Url>>,
    /// Whether ETags are looked at.
    heeds_etag: AtomicBool,
}

/// Why a part does not go on.
enum Stop {
    Error(StoreError),
    /// The server has another version, by its ETag.
    Changed(Option<String>),
    /// The server does not give parts.
    NoRanges,
}

/// Why a request did not bring all of its part.
enum Broken {
    Stop(Stop),
    Failure(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Of the disk: asking again does not help.
impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Stop(Stop::Error(error))
    }
}

/// Fetches what is missing of a file from one hub.
///
/// # Errors
/// Why it could not all be had. What came by then is in `partial`.
pub(super) async fn fetch(
    traffic: &Arc<Traffic>,
    endpoint: &Endpoint,
    file: &WantedFile,
    partial: &Arc<Partial>,
) -> Result<(), StoreError> {
    let transfer = Arc::new(Transfer {
        traffic: Arc::clone(traffic),
        endpoint: endpoint.clone(),
        file: file.clone(),
        partial: Arc::clone(partial),
        location: Mutex::default(),
        heeds_etag: AtomicBool::new(matches!(file.key, PartialKey::Git(_))),
    });
    let mut resets = 0;
    loop {
        match transfer.parts().await {
            Ok(()) => return Ok(()),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::NoRanges) => {
                tracing::info!("{} gives {} as a whole only", endpoint.name(), file.path);
                return transfer.whole().await;
            }
            Err(Stop::Changed(etag)) => {
                tracing::info!("{} has another version of {}: begun anew", endpoint.name(), file.path);
                resets += 1;
                transfer.heeds_etag.store(resets < MOST_RESETS, Ordering::Relaxed);
                *transfer.location.lock().await = None;
                transfer.begin_anew(etag)?;
            }
        }
    }
}

impl Transfer {
    /// All that is missing, part by part.
    async fn parts(self: &Arc<Self>) -> Result<(), Stop> {
        let size = part_size(self.file.size, self.traffic.connections);
        let mut parts = split(self.partial.missing(), size);
        let mut running = JoinSet::new();
        loop {
            while running.len() < self.traffic.connections
                && let Some(part) = parts.next()
            {
                let transfer = Arc::clone(self);
                running.spawn(async move { transfer.part(part).await });
            }
            let stop = match running.join_next().await {
                None => return Ok(()),
                Some(Ok(Ok(()))) => continue,
                Some(Ok(Err(stop))) => stop,
                Some(Err(error)) => Stop::Error(StoreError::new(StoreErrorKind::Cancelled, error)),
            };
            running.shutdown().await;
            return Err(stop);
        }
    }

    /// One part, with all the requests that it takes.
    async fn part(&self, part: Range<u64>) -> Result<(), Stop> {
        // It is not closed.
        let _permit = self.traffic.permits.acquire().await;
        let patience = self.traffic.client.patience();
        let mut retries = Retries::new(patience, patience.attempts);
        let mut at = part.start;
        while at < part.end {
            let before = at;
            match self.request(&mut at, part.end).await {
                Ok(()) => {}
                Err(Broken::Stop(stop)) => return Err(stop),
                Err(Broken::Failure(failure)) => {
                    if at - before >= ENOUGH {
                        retries.succeeded();
                    }
                    retries.pause(failure).await.map_err(Stop::Error)?;
                }
            }
        }
        Ok(())
    }

    /// The whole file in one piece, from its beginning each time.
    async fn whole(&self) -> Result<(), StoreError> {
        let _permit = self.traffic.permits.acquire().await;
        self.heeds_etag.store(false, Ordering::Relaxed);
        let patience = self.traffic.client.patience();
        let mut retries = Retries::new(patience, patience.attempts);
        loop {
            self.begin_anew(None)?;
            match self.request(&mut 0, self.file.size).await {
                Ok(()) => return Ok(()),
                Err(Broken::Stop(Stop::Error(error))) => return Err(error),
                Err(Broken::Stop(_)) => return Err(self.error("gives neither the whole file nor parts of it")),
                Err(Broken::Failure(failure)) => retries.pause(failure).await?,
            }
        }
    }

    /// What was fetched counts no more.
    fn begin_anew(&self, etag: Option<String>) -> Result<(), StoreError> {
        self.traffic.done.fetch_sub(self.partial.done(), Ordering::Relaxed);
        self.partial.reset(etag)
    }

    /// One request for the bytes from `at` on; moves it by what has come.
    async fn request(&self, at: &mut u64, end: u64) -> Result<(), Broken> {
        let size = self.file.size;
        let is_whole = *at == 0 && end == size;
        let headers = match is_whole {
            true => HeaderMap::new(),
            false => range_headers(&(*at..end), self.known_etag().as_deref()),
        };
        let mut answer = self.open(headers).await?;
        self.check(&answer.response, *at, is_whole)?;
        let mut watch = SlowWatch::new(self.traffic.client.patience());
        while *at < end {
            let piece = answer.response.chunk().await.map_err(|error| passing(&self.endpoint, &error))?;
            let Some(piece) = piece else {
                return Err(Failure::Passing(self.error("ended early"), None).into());
            };
            // What is beyond was not asked for.
            let count = (end - *at).min(piece.len() as u64);
            self.partial.write_at(*at, &piece[..count as usize])?;
            *at += count;
            self.traffic.done.fetch_add(count, Ordering::Relaxed);
            self.traffic.fetched.fetch_add(count, Ordering::Relaxed);
            if watch.is_too_slow(count) {
                return Err(Failure::Passing(self.error("hardly sends anything"), None).into());
            }
        }
        Ok(())
    }

    /// An answer from where the bytes are. The first who asks is told that by the hub, the others wait for it.
    async fn open(&self, headers: HeaderMap) -> Result<Answer, Failure> {
        let client = &self.traffic.client;
        let subject = Subject {
            repository: Some(&self.traffic.repository),
            revision: Some(&self.traffic.commit),
            file: Some(&self.file.path),
        };
        let mut location = self.location.lock().await;
        if let Some(url) = location.clone() {
            drop(location);
            let answered = client.get(&self.endpoint, &url, headers.clone(), subject).await;
            if !matches!(answered, Err(Failure::Final(_))) {
                return answered;
            }
            // Signed addresses expire. Unless somebody has asked already, the hub is asked for another.
            location = self.location.lock().await;
            if let Some(other) = location.clone().filter(|other| *other != url) {
                drop(location);
                return client.get(&self.endpoint, &other, headers, subject).await;
            }
        }
        *location = None;
        let (owner, name) = super::api::parts(&self.traffic.repository)?;
        let place = [owner, name, "resolve", &self.traffic.commit].into_iter().chain(self.file.path.split('/'));
        let answer = client.get(&self.endpoint, &self.endpoint.join(place), headers, subject).await?;
        self.check_identity(&answer.first)?;
        if self.heeds_etag.load(Ordering::Relaxed) && self.partial.etag().is_none() && self.partial.done() == 0 {
            // Noted before anybody else knows where the bytes are.
            self.partial.reset(etag(answer.response.headers()))?;
        }
        *location = Some(answer.url.clone());
        Ok(answer)
    }

    /// That the hub speaks of the file that it listed.
    fn check_identity(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("x-repo-commit").is_some_and(|commit| commit != self.traffic.commit) {
            return Err(self.error("answers from another commit than the one that was asked for").into());
        }
        if let (PartialKey::Sha256(digest), Some(linked)) = (self.file.key, text("x-linked-etag"))
            && linked.trim_matches('"') != digest.to_string()
        {
            return Err(self.error("has another file there than the one that it listed").into());
        }
        Ok(())
    }

    /// That an answer begins where it was asked to, and is of the file that was listed and begun.
    fn check(&self, response: &reqwest::Response, at: u64, is_whole: bool) -> Result<(), Broken> {
        let headers = response.headers();
        if let (Some(known), Some(now)) = (self.known_etag(), etag(headers))
            && known != now
        {
            return Err(Broken::Stop(Stop::Changed(Some(now))));
        }
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match is_whole {
                true if response.content_length().is_none_or(|length| length == self.file.size) => Ok(()),
                true => Err(Failure::Passing(self.error("has another length of it than it listed"), None).into()),
                false => Err(Broken::Stop(Stop::NoRanges)),
            };
        }
        let range = headers.get(CONTENT_RANGE).and_then(|value| content_range(value.to_str().ok()?));
        match range {
            Some((start, size)) if start == at && size.is_none_or(|size| size == self.file.size) => Ok(()),
            _ => {
                Err(Failure::Passing(self.error("answers with other bytes than those that were asked for"), None)
                    .into())
            }
        }
    }

    fn known_etag(&self) -> Option<String> {
        self.heeds_etag.load(Ordering::Relaxed).then(|| self.partial.etag()).flatten()
    }

    fn error(&self, what: &str) -> StoreError {
        let (hub, file, repository) = (self.endpoint.name(), &self.file.path, &self.traffic.repository);
        StoreError::new(StoreErrorKind::InvalidAnswer, format!("{hub} {what}, asked for {file} of {repository}"))
    }
}

/// Looks at how much comes in each stretch of time.
struct SlowWatch {
    stretch: Duration,
    began: Instant,
    bytes: u64,
}

impl SlowWatch {
    fn new(patience: &Patience) -> Self {
        Self { stretch: patience.idle, began: Instant::now(), bytes: 0 }
    }

    fn is_too_slow(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.began.elapsed() < self.stretch {
            return false;
        }
        let least = self.stretch.as_millis() as u64 * SLOWEST / 1000;
        let is_slow = self.bytes < least;
        (self.began, self.bytes) = (Instant::now(), 0);
        is_slow
    }
}

/// The size of a file's parts: enough of them for each connection to have some.
fn part_size(size: u64, connections: usize) -> u64 {
    (size / (4 * connections as u64)).clamp(LEAST_PART, MOST_PART)
}

/// Ranges cut to a size, in order.
fn split(ranges: Vec<Range<u64>>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let cut = move |range: Range<u64>| {
        let end = range.end;
        range.step_by(usize::try_from(size).unwrap_or(usize::MAX)).map(move |start| start..end.min(start + size))
    };
    ranges.into_iter().flat_map(cut)
}

fn etag(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}

/// Where a range begins, and the file's size where it is told: `bytes 0-99/1000`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let size = if size == "*" { None } else { Some(size.parse().ok()?) };
    Some((start.parse().ok()?, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_what_is_missing_and_nothing_else() {
        let parts = |ranges| split(ranges, 4).collect::<Vec<_>>();
        assert_eq!(parts(vec![0..10, 20..25]), [0..4, 4..8, 8..10, 20..24, 24..25]);
        assert_eq!(parts(Vec::new()), []);
        // However many there are, none is held before its turn.
        assert_eq!(split(vec![Range { start: 0, end: u64::MAX }], 4).next(), Some(0..4));
        assert_eq!(part_size(100, 8), LEAST_PART);
        assert_eq!(part_size(1 << 29, 8), 1 << 24);
        assert_eq!(part_size(u64::MAX, 1), MOST_PART);
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes", "bytes */10", "5-9/10", "bytes 5-9/x"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
