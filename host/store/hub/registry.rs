//! Registries of OCI artifacts: as much of the distribution specification as it takes to pull a component.
//!
//! The names are oci-client's; asking is done here, since what it reads (manifests, tokens) has no bound, and since
//! whoever is asked over HTTPS is asked in one way in all of the program.

use std::borrow::Cow;
use std::sync::OnceLock;

use oci_client::Reference;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::HubClient;
use super::component_source::{accept, read_body, refusal, too_large};
use super::options::{Endpoint, is_confidential};
use super::registry_login::login;
use super::retry::{Failure, Retries};
use crate::components::COMPONENT_BYTES;
use crate::{Digest, Meter, Monitor, Stage, StoreError, StoreErrorKind};

/// The annotation of a manifest, or of its layer, that holds the signature that minisign made of the component: all lines
/// of the `.minisig` file.
pub const SIGNATURE_ANNOTATION: &str = "org.wasmlx.minisign";

/// The media type of a component's layer, as `wkg` has it.
const WASM: &str = "application/wasm";

/// The most bytes of a manifest, and of a token with all that is said of it.
const MANIFEST_BYTES: u64 = 1 << 20;
const TOKEN_BYTES: u64 = 64 << 10;

/// A component as it was pulled.
pub(super) struct Artifact {
    pub(super) bytes: Vec<u8>,
    /// The digest of its manifest: `sha256:...`.
    pub(super) manifest: String,
    pub(super) signature: Option<String>,
}

/// A registry that is asked for one artifact.
pub(super) struct Registry<'a> {
    client: &'a HubClient,
    reference: &'a Reference,
    endpoint: Endpoint,
    /// What the registry asked for: the token that it gave, or the user's login.
    token: Option<HeaderValue>,
    /// Looked for once.
    login: OnceLock<Option<HeaderValue>>,
}

impl<'a> Registry<'a> {
    /// The registry of a reference. It is asked over TLS, but for one on this machine.
    pub(super) fn new(client: &'a HubClient, reference: &'a Reference) -> Result<Self, StoreError> {
        let host = reference.resolve_registry();
        let at = |scheme: &str| Url::parse(&format!("{scheme}://{host}/")).ok();
        let url = at("http").filter(is_confidential).or_else(|| at("https"));
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(|| {
            StoreError::new(StoreErrorKind::InvalidInput, "that is no address of a registry: write HOST or HOST:PORT")
        })?;
        Ok(Self { client, reference, endpoint: Endpoint::of(&url), token: None, login: OnceLock::new() })
    }

    /// The component that the reference stands for: its manifest, then the one layer that is WebAssembly, both with the
    /// digests that lead to them.
    pub(super) async fn pull(mut self, monitor: Monitor<'_>) -> Result<Artifact, StoreError> {
        let mut retries = Retries::new(self.client.patience(), self.client.patience().attempts);
        loop {
            match self.pull_once(monitor).await {
                Ok(artifact) => return Ok(artifact),
                Err(failure) => retries.pause(failure).await?,
            }
        }
    }

    async fn pull_once(&mut self, monitor: Monitor<'_>) -> Result<Artifact, Failure> {
        let patience = self.client.patience().metadata;
        let answered = timeout(patience, self.manifest()).await;
        let late = |_| Failure::passing(format_args!("{} did not answer in time", self.endpoint.name()));
        let (manifest, digest) = answered.map_err(late)??;
        let layer = self.layer(&manifest)?;
        let signature = [&layer.annotations, &manifest.annotations];
        let signature = signature.into_iter().flatten().find_map(|annotations| annotations.get(SIGNATURE_ANNOTATION));
        let bytes = self.blob(layer, monitor).await?;
        Ok(Artifact { bytes, manifest: format!("sha256:{digest}"), signature: signature.cloned() })
    }

    /// The manifest, and its digest.
    async fn manifest(&mut self) -> Result<(OciImageManifest, Digest), Failure> {
        let asked = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        let response = self.get("manifests", asked, accept(OCI_IMAGE_MEDIA_TYPE)).await?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (said, media_type) = (header("docker-content-digest"), header(CONTENT_TYPE.as_str()));
        let too_large = || too_large(&format!("the manifest of {}", self.what()), MANIFEST_BYTES);
        let body = read_body(&self.endpoint, response, MANIFEST_BYTES, too_large, None).await?;
        let digest = Digest::of(&body);
        // By a digest one thing alone was asked for. What a tag stands for only the registry knows.
        let expected = self.reference.digest().map(Cow::Borrowed).or_else(|| said.map(Cow::Owned));
        if expected.is_some_and(|expected| expected != format!("sha256:{digest}")) {
            let message = format!("{} answers with another manifest than its digest says", self.endpoint.name());
            return Err(StoreError::new(StoreErrorKind::InvalidComponent, message).into());
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct AnyManifest {
            media_type: Option<String>,
        }
        let wrong = |why: &str| StoreError::new(StoreErrorKind::InvalidAnswer, format!("{} {why}", self.what()));
        let AnyManifest { media_type: own } =
            serde_json::from_slice(&body).map_err(|error| wrong(&format!("has a manifest that is torn: {error}")))?;
        let media_type = own.or(media_type).unwrap_or_default();
        if media_type.split(';').next() != Some(OCI_IMAGE_MEDIA_TYPE) {
            return Err(wrong(
                "is no artifact that holds a component: its manifest is of another media type (an index of several is \
                 asked for by the digest of one of them)",
            )
            .into());
        }
        let manifest =
            serde_json::from_slice(&body).map_err(|error| wrong(&format!("has a manifest that is torn: {error}")))?;
        Ok((manifest, digest))
    }

    /// The layer that is the component.
    fn layer<'m>(&self, manifest: &'m OciImageManifest) -> Result<&'m OciDescriptor, StoreError> {
        let mut layers = manifest.layers.iter().filter(|layer| layer.media_type == WASM);
        match (layers.next(), layers.next()) {
            (Some(layer), None) => Ok(layer),
            (None, _) => {
                let message = format!("{} holds no component: none of its layers is {WASM}", self.what());
                Err(StoreError::new(StoreErrorKind::InvalidAnswer, message))
            }
            (Some(_), Some(_)) => {
                let message = format!("{} holds several components: more than one layer is {WASM}", self.what());
                Err(StoreError::new(StoreErrorKind::InvalidAnswer, message))
            }
        }
    }

    async fn blob(&mut self, layer: &OciDescriptor, monitor: Monitor<'_>) -> Result<Vec<u8>, Failure> {
        let expected = layer.digest.strip_prefix("sha256:").and_then(Digest::parse).ok_or_else(|| {
            let message = format!("{} names its layer by no SHA-256", self.what());
            StoreError::new(StoreErrorKind::InvalidAnswer, message)
        })?;
        let size = u64::try_from(layer.size).ok().filter(|size| *size <= COMPONENT_BYTES);
        let size = size.ok_or_else(|| too_large(&self.what(), COMPONENT_BYTES))?;
        let response = self.get("blobs", &layer.digest, HeaderMap::new()).await?;
        let meter = Meter::new(monitor, Stage::Fetching, self.reference.repository(), 0, size);
        let other = || {
            let message = format!("{} came with other bytes than its manifest says; it is not used", self.what());
            StoreError::new(StoreErrorKind::InvalidComponent, message)
        };
        let bytes = read_body(&self.endpoint, response, size, other, Some(&meter)).await?;
        if bytes.len() as u64 != size || Digest::of(&bytes) != expected {
            return Err(other().into());
        }
        Ok(bytes)
    }

    /// Asks for something of the repository; once more with a token, where the registry says who gives one.
    async fn get(&mut self, kind: &str, name: &str, headers: HeaderMap) -> Result<Response, Failure> {
        let path = ["v2"].into_iter().chain(self.reference.repository().split('/')).chain([kind, name]);
        let url = self.endpoint.join(path);
        loop {
            let authorization = |to: &Url| self.token.clone().filter(|_| self.endpoint.has(to));
            let reply = self.client.follow(&self.endpoint, &url, &headers, authorization).await?;
            let status = reply.response.status();
            if status.is_success() {
                return Ok(reply.response);
            }
            let challenge = reply.response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            match (status, challenge, &self.token) {
                (StatusCode::UNAUTHORIZED, Some(challenge), None) => {
                    self.token = Some(self.new_token(challenge).await?)
                }
                _ => return Err(self.refused(status)),
            }
        }
    }

    /// The token that is given to whoever asks, or to whom the user is there; or where the registry gives none, the
    /// user's login.
    async fn new_token(&self, challenge: &str) -> Result<HeaderValue, Failure> {
        // Some registries send one, some the other, some both.
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
        }
        let wrong = || {
            let message = format!("{} asks for a login that is not known here", self.endpoint.name());
            Failure::Final(StoreError::new(StoreErrorKind::Denied, message))
        };
        let login = self.login();
        if challenge.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")) {
            return login.cloned().ok_or_else(|| self.refused(StatusCode::UNAUTHORIZED));
        }
        let parameters = bearer_parameters(challenge).ok_or_else(wrong)?;
        let parameter =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut url = parameter("realm").and_then(|realm| Url::parse(realm).ok()).filter(is_confidential);
        let url = url.as_mut().ok_or_else(wrong)?;
        let scope = format!("repository:{}:pull", self.reference.repository());
        url.query_pairs_mut().extend_pairs(parameter("service").map(|service| ("service", service)));
        url.query_pairs_mut().append_pair("scope", &scope);
        let endpoint = Endpoint::of(url);
        let authorization = |to: &Url| login.filter(|_| endpoint.has(to)).cloned();
        let reply = self.client.follow(&endpoint, url, &HeaderMap::new(), authorization).await?;
        if !reply.response.status().is_success() {
            return Err(self.refused(reply.response.status()));
        }
        let body =
            read_body(&endpoint, reply.response, TOKEN_BYTES, || too_large("its token", TOKEN_BYTES), None).await?;
        let Given { token, access_token } = serde_json::from_slice(&body).map_err(|_| wrong())?;
        let token = token.or(access_token).ok_or_else(wrong)?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| wrong())?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The user's login at the registry.
    fn login(&self) -> Option<&HeaderValue> {
        let names = [self.reference.resolve_registry(), self.reference.registry()];
        self.login.get_or_init(|| login(self.client.registry_logins()?, &names)).as_ref()
    }

    fn refused(&self, status: StatusCode) -> Failure {
        let registry = self.reference.registry();
        let why = match (status, self.login()) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => format!(
                "is not given to everybody: log in to {registry}, as `docker login {registry}` does that keeps the login \
                 in its config.json itself; or download it by other means, and add the file"
            ),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => {
                format!("is not given to your login at {registry}: it is outdated, or its account may not have it")
            }
            _ => return refusal(&self.what(), status),
        };
        Failure::Final(StoreError::new(StoreErrorKind::Denied, format!("{} {why}", self.what())))
    }

    /// As sentences have it.
    fn what(&self) -> String {
        format!("oci://{}", self.reference)
    }
}

/// The parameters of a challenge (RFC 9110, 11.6.1) that asks for a bearer's token: `Bearer realm="...",service="..."`.
pub(super) fn bearer_parameters(challenge: &str) -> Option<Vec<(String, String)>> {
    let (scheme, mut rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            return Some(parameters);
        }
        let (name, value) = rest.split_once('=')?;
        let (value, after) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        parameters.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_as_registries_write_it() {
        let read = |text: &str| {
            let written = |(name, value): (String, String)| format!("{name}={value};");
            bearer_parameters(text).map(|parameters| parameters.into_iter().map(written).collect::<String>())
        };
        let docker =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#;
        assert_eq!(
            read(docker).unwrap(),
            "realm=https://auth.docker.io/token;service=registry.docker.io;scope=a:b:pull,push;"
        );
        assert_eq!(read("bearer Realm = \"https://a\" , service=b").unwrap(), "realm=https://a;service=b;");
        for text in ["", "Bearer", "Basic realm=\"a\"", "Bearer realm", "Bearer realm=\"a"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
