//! Components from elsewhere: their bytes, and that these are the ones that were meant.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;
use url::Url;

use super::HubClient;
use super::client::passing;
use super::component_address::ComponentAddress;
use super::options::Endpoint;
use super::registry::Registry;
use super::retry::{Failure, Retries};
use super::signature::{SIGNATURE_BYTES, SigningKey};
use crate::components::COMPONENT_BYTES;
use crate::{ComponentSource, Digest, Meter, Monitor, Signer, Stage, StoreError, StoreErrorKind};

/// How long a component may take on its way, all attempts together.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What a component that is fetched must be.
#[derive(Debug, Clone, Default)]
pub struct ComponentChecks {
    /// The SHA-256 of its bytes.
    pub digest: Option<Digest>,
    /// The key that it must be signed with.
    pub key: Option<SigningKey>,
    /// Where the signature is. Where nothing is said: beside the file, by its name and `.minisig`; for an artifact of a
    /// registry, in the annotation [`SIGNATURE_ANNOTATION`](super::SIGNATURE_ANNOTATION).
    pub signature: Option<ComponentAddress>,
}

/// A component that came from somewhere, and is what it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchedComponent {
    /// What it is called where it came from.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub source: ComponentSource,
    /// Who signed it, where that was asked for.
    pub signer: Option<Signer>,
}

/// What came, before it is looked at.
struct Arrived {
    bytes: Vec<u8>,
    source: ComponentSource,
    /// The signature that came with it.
    signature: Option<String>,
}

impl HubClient {
    /// Fetches a component, of at most 256 MiB, and checks what `checks` ask for. Nothing is written to the disk.
    ///
    /// An address gets no token. A registry gets the token that it gives to whoever asks: what only some may pull is
    /// downloaded by other means.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidComponent`] for other bytes than the digest says, [`StoreErrorKind::Untrusted`] for what
    /// is not signed with the key; [`StoreErrorKind::NotFound`], [`StoreErrorKind::Denied`],
    /// [`StoreErrorKind::Unreachable`], [`StoreErrorKind::RateLimited`], [`StoreErrorKind::InvalidAnswer`],
    /// [`StoreErrorKind::Offline`]; [`StoreErrorKind::InvalidInput`] for a signature without a key.
    pub async fn fetch_component(
        &self,
        address: &ComponentAddress,
        checks: &ComponentChecks,
        monitor: Monitor<'_>,
    ) -> Result<FetchedComponent, StoreError> {
        if checks.signature.is_some() && checks.key.is_none() {
            let message = "a signature tells nothing without the key that is trusted: name it too (--public-key)";
            return Err(StoreError::new(StoreErrorKind::InvalidInput, message));
        }
        let arrived = timeout(LONGEST, self.arrived(address, monitor)).await.map_err(|_| {
            let minutes = LONGEST.as_secs() / 60;
            StoreError::new(StoreErrorKind::Unreachable, format!("{address} did not come within {minutes} minutes"))
        });
        let Arrived { bytes, source, signature } = arrived??;
        let digest = Digest::of(&bytes);
        if let Some(expected) = checks.digest.filter(|expected| *expected != digest) {
            let message =
                format!("{address} is sha256:{digest}, not sha256:{expected} as was asked for; it is not used");
            return Err(StoreError::new(StoreErrorKind::InvalidComponent, message));
        }
        let signer = match &checks.key {
            None => None,
            Some(key) => {
                let signature = self.signature(address, checks.signature.as_ref(), signature).await?;
                Some(key.verify(&address.to_string(), &bytes, &signature)?)
            }
        };
        Ok(FetchedComponent { name: address.name(), bytes, source, signer })
    }

    async fn arrived(&self, address: &ComponentAddress, monitor: Monitor<'_>) -> Result<Arrived, StoreError> {
        match address {
            ComponentAddress::File(path) => {
                let source = ComponentSource::of_file(path);
                Ok(Arrived { bytes: read_file(path, COMPONENT_BYTES)?, source, signature: None })
            }
            ComponentAddress::Url(url) => {
                let bytes = self.download(url, COMPONENT_BYTES, Some(monitor)).await?;
                Ok(Arrived { bytes, source: ComponentSource::Url { url: address.to_string() }, signature: None })
            }
            ComponentAddress::Oci(reference) => {
                let artifact = Registry::new(self, reference)?.pull(monitor).await?;
                let source = ComponentSource::Oci { reference: reference.whole(), manifest: artifact.manifest };
                Ok(Arrived { bytes: artifact.bytes, source, signature: artifact.signature })
            }
        }
    }

    /// The text of a signature: of the one that is named, else of the one that came along or lies beside.
    async fn signature(
        &self,
        of: &ComponentAddress,
        named: Option<&ComponentAddress>,
        came: Option<String>,
    ) -> Result<String, StoreError> {
        let beside = of.signature();
        let unsigned = |why: String| StoreError::new(StoreErrorKind::Untrusted, format!("{of} is not used: {why}"));
        let bytes = match (named.or(beside.as_ref()), came) {
            (None, Some(text)) => return Ok(text),
            (Some(ComponentAddress::File(path)), _) => read_file(path, SIGNATURE_BYTES as u64),
            (Some(ComponentAddress::Url(url)), _) => self.download(url, SIGNATURE_BYTES as u64, None).await,
            (Some(ComponentAddress::Oci(_)) | None, _) => {
                return Err(unsigned(format!("it has no annotation {} with a signature", super::SIGNATURE_ANNOTATION)));
            }
        };
        let bytes = bytes.map_err(|error| match error.kind() {
            StoreErrorKind::NotFound => unsigned(format!("it is not signed: {error}")),
            _ => error,
        })?;
        String::from_utf8(bytes).map_err(|_| unsigned("its signature is none that minisign made".to_owned()))
    }

    /// The file at an address.
    async fn download(&self, url: &Url, most: u64, monitor: Option<Monitor<'_>>) -> Result<Vec<u8>, StoreError> {
        let endpoint = Endpoint::of(url);
        let mut retries = Retries::new(self.patience(), self.patience().attempts);
        loop {
            match self.download_once(&endpoint, url, most, monitor).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => retries.pause(failure).await?,
            }
        }
    }

    async fn download_once(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        most: u64,
        monitor: Option<Monitor<'_>>,
    ) -> Result<Vec<u8>, Failure> {
        let reply = self.follow(endpoint, url, &HeaderMap::new(), |_| None).await?;
        let shown = ComponentAddress::Url(url.clone());
        if !reply.response.status().is_success() {
            return Err(refusal(&shown.to_string(), reply.response.status()));
        }
        let too_large = || too_large(&shown.to_string(), most);
        let total = reply.response.content_length();
        if total.is_some_and(|total| total > most) {
            return Err(too_large().into());
        }
        let name = shown.name();
        let meter = monitor.map(|monitor| Meter::new(monitor, Stage::Fetching, name, 0, total.unwrap_or(0)));
        read_body(endpoint, reply.response, most, too_large, meter.as_ref()).await
    }
}

/// The body of an answer. One of more than so many bytes is the error `too_large`.
pub(super) async fn read_body(
    endpoint: &Endpoint,
    mut response: Response,
    most: u64,
    too_large: impl Fn() -> StoreError,
    meter: Option<&Meter<'_>>,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| passing(endpoint, &error))? {
        if (bytes.len() + piece.len()) as u64 > most {
            return Err(too_large().into());
        }
        bytes.extend_from_slice(&piece);
        if let Some(meter) = meter {
            meter.add(piece.len() as u64)?;
        }
    }
    if let Some(meter) = meter {
        meter.finish();
    }
    Ok(bytes)
}

/// That something is not given. The server's own words are left out: it may be anybody's.
pub(super) fn refusal(what: &str, status: StatusCode) -> Failure {
    let error = |kind, message: String| Failure::Final(StoreError::new(kind, message));
    match status.as_u16() {
        404 | 410 => error(StoreErrorKind::NotFound, format!("{what} is not there")),
        401 | 403 => error(
            StoreErrorKind::Denied,
            format!("{what} is not given to everybody; download it by other means, and add the file"),
        ),
        429 => Failure::Passing(
            StoreError::new(StoreErrorKind::RateLimited, format!("{what} was asked for too often for now")),
            None,
        ),
        408 | 500.. => Failure::passing(format_args!("{what} is not given for now: the server answered {status}")),
        _ => error(StoreErrorKind::InvalidAnswer, format!("{what}: the server answered {status}")),
    }
}

pub(super) fn too_large(what: &str, most: u64) -> StoreError {
    let most = if most >> 20 > 0 { format!("{} MiB", most >> 20) } else { format!("{most} bytes") };
    StoreError::new(StoreErrorKind::InvalidAnswer, format!("{what} is larger than {most}, which is the most"))
}

/// One header that says what is accepted.
pub(super) fn accept(media_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(media_type))])
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => StoreErrorKind::NotFound,
            _ => StoreErrorKind::Io,
        };
        StoreError::new(kind, format!("cannot read {}: {error}", path.display()))
    })?;
    if bytes.len() as u64 > most {
        return Err(too_large(&path.display().to_string(), most));
    }
    Ok(bytes)
}
