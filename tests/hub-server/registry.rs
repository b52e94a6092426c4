//! An OCI registry, as much of the distribution specification as it takes to pull: manifests by tag and by digest, blobs
//! that are elsewhere, and tokens by challenge.

use serde_json::{Value, json};

use crate::content::Content;
use crate::http::{Body, Request, Response};
use crate::state::State;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";

/// What a login header has after `Basic`, of the one account that there is.
pub const LOGIN: &str = "bWFrZXI6c2VjcmV0";

/// What a registry has under a tag: a manifest, and the blobs that it names.
#[derive(Debug, Clone)]
pub struct Artifact {
    repository: String,
    tag: String,
    manifest: Value,
    media_type: String,
    blobs: Vec<(String, Content)>,
    is_private: bool,
}

impl Artifact {
    /// A WebAssembly component, as `wkg oci push` uploads one; `repository` is `OWNER/NAME`.
    pub fn component(repository: &str, tag: &str, bytes: &[u8]) -> Self {
        let config = json!({"architecture": "wasm", "os": "wasip2", "layerDigests": [digest(bytes)]}).to_string();
        let blobs: Vec<(String, Content)> =
            [config.as_bytes(), bytes].into_iter().map(|blob| (digest(blob), blob.into())).collect();
        let descriptor = |media_type: &str, (digest, content): &(String, Content)| json!({"mediaType": media_type, "digest": digest, "size": content.size()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &blobs[0]), "layers": [descriptor(WASM, &blobs[1])],
        });
        let (repository, tag, media_type) = (repository.to_owned(), tag.to_owned(), MANIFEST.to_owned());
        Self { repository, tag, manifest, media_type, blobs, is_private: false }
    }

    /// With another manifest: it may be wrong.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// With another media type in the answer.
    #[must_use]
    pub fn served_as(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self
    }

    /// For nobody who is not logged in.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// The digest of its manifest: `sha256:...`.
    pub fn digest(&self) -> String {
        digest(self.manifest.to_string().as_bytes())
    }
}

/// Answers to `/v2/...`.
pub(crate) fn answer(state: &State, request: &Request, parts: &[String]) -> Response {
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let [owner, name, kind, reference] = names[..] else { return refusal(404, "NAME_INVALID", "invalid name") };
    let repository = format!("{owner}/{name}");
    if request.header("authorization") != Some(&format!("Bearer {}", token(&repository))) {
        let realm = format!("{}/v2-token", state.hub_url());
        let challenge = format!(r#"Bearer realm="{realm}",service="registry",scope="repository:{repository}:pull""#);
        return refusal(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", challenge);
    }
    let artifacts = state.artifacts();
    let found = artifacts.iter().rev().filter(|artifact| artifact.repository == repository);
    match kind {
        "manifests" => match found.into_iter().find(|known| known.tag == reference || known.digest() == reference) {
            Some(artifact) => {
                let headers =
                    [("Content-Type", artifact.media_type.clone()), ("Docker-Content-Digest", artifact.digest())];
                let body = Body::Bytes(artifact.manifest.to_string().into_bytes());
                headers.into_iter().fold(Response { body, ..Response::empty(200) }, |response, (name, value)| {
                    response.header(name, value)
                })
            }
            None => refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        },
        "blobs" => match found.into_iter().any(|known| known.blob(reference).is_some()) {
            true => Response::empty(307).header("Location", format!("{}/v2-blobs/{reference}", state.cdn_url())),
            false => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        },
        _ => refusal(404, "UNSUPPORTED", "the operation is unsupported"),
    }
}

/// Answers to `/v2-token`: who is not logged in gets a token too, for what is not private. A wrong login gets none.
pub(crate) fn give_token(state: &State, request: &Request) -> Response {
    let scope = request.parameter("scope").and_then(|scope| scope.strip_prefix("repository:")?.strip_suffix(":pull"));
    let repository = scope.unwrap_or_default();
    let is_private = state.artifacts().iter().any(|artifact| artifact.repository == repository && artifact.is_private);
    let login = request.header("authorization");
    match login.map(|login| login == format!("Basic {LOGIN}")) {
        Some(false) => refusal(401, "UNAUTHORIZED", "incorrect username or password"),
        None if is_private => refusal(403, "DENIED", "requested access to the resource is denied"),
        // Both, as Docker Hub has it.
        _ => {
            let token = token(repository);
            Response::json(200, &json!({"token": token, "access_token": token, "expires_in": 300}))
        }
    }
}

/// Answers to `/v2-blobs/...`, where blobs are.
pub(crate) fn blob(state: &State, reference: &str) -> Response {
    let artifacts = state.artifacts();
    match artifacts.iter().find_map(|artifact| artifact.blob(reference)) {
        Some(content) => Response { body: Body::Part(content.clone(), 0..content.size()), ..Response::empty(200) },
        None => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

impl Artifact {
    fn blob(&self, reference: &str) -> Option<&Content> {
        self.blobs.iter().find(|(digest, _)| digest == reference).map(|(_, content)| content)
    }
}

fn token(repository: &str) -> String {
    format!("pull-{repository}")
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("sha256:{}", crate::content::hex(&sha2::Sha256::digest(bytes)))
}

/// The specification's way of saying no.
fn refusal(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"errors": [{"code": code, "message": message}]}))
}
