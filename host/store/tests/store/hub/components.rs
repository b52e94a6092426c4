//! Components by address and from a registry: what comes is what was meant, or nothing comes.

use std::path::PathBuf;

use serde_json::{Value, json};
use wasmlx_hub_server::{Action, Artifact, Fault, HubServer, LOGIN, Repository};
use wasmlx_store::hub::{
    ComponentAddress, ComponentChecks, FetchedComponent, HubClient, HubOptions, SIGNATURE_ANNOTATION, SigningKey,
};
use wasmlx_store::{ComponentSource, Digest, Monitor, StoreError, StoreErrorKind as Kind};

use super::{run, short};
use crate::minisign::Author;

/// The store looks at no component's insides.
const BYTES: &[u8] = b"a component, for all that anybody here knows";

/// A server with an artifact in its registry and a file at an address.
struct Scene(HubServer);

impl Scene {
    fn new() -> Self {
        Self::with(artifact())
    }

    fn with(artifact: Artifact) -> Self {
        let server = HubServer::start();
        server.add_artifact(artifact);
        server.add(Repository::new("maker/things").large_file("thing.wasm", BYTES));
        Self(server)
    }

    /// The artifact, by a tag or a digest with what precedes it.
    fn oci(&self, reference: &str) -> String {
        format!("oci://{}/maker/thing{reference}", self.0.url().trim_start_matches("http://"))
    }

    fn url(&self) -> String {
        format!("{}/maker/things/resolve/main/thing.wasm", self.0.url())
    }

    fn fetch(&self, address: &str) -> Result<FetchedComponent, StoreError> {
        self.fetch_checked(address, &ComponentChecks::default())
    }

    fn fetch_checked(&self, address: &str, checks: &ComponentChecks) -> Result<FetchedComponent, StoreError> {
        self.fetch_by(address, checks, None)
    }

    /// With what Docker's `config.json` has.
    fn fetch_by(
        &self,
        address: &str,
        checks: &ComponentChecks,
        registry_logins: Option<PathBuf>,
    ) -> Result<FetchedComponent, StoreError> {
        let endpoints = vec![self.0.url().to_owned()];
        let options = HubOptions { endpoints, registry_logins, patience: short(), ..HubOptions::default() };
        let client = HubClient::new(options).unwrap();
        let address: ComponentAddress = address.parse().unwrap();
        run(client.fetch_component(&address, checks, Monitor::none()))
    }
}

fn artifact() -> Artifact {
    Artifact::component("maker/thing", "1.0", BYTES)
}

fn changed(change: impl FnOnce(&mut Value)) -> Scene {
    Scene::with(artifact().changed(change))
}

fn signed(author: &Author, signature: Option<&str>) -> ComponentChecks {
    ComponentChecks {
        key: Some(SigningKey::parse(&author.key()).unwrap()),
        signature: signature.map(|address| address.parse().unwrap()),
        ..ComponentChecks::default()
    }
}

#[test]
fn an_artifact_is_pulled_by_its_tag_and_by_its_digest() {
    let scene = Scene::new();
    let digest = artifact().digest();
    for reference in [":1.0", &format!("@{digest}")] {
        let fetched = scene.fetch(&scene.oci(reference)).unwrap();
        assert_eq!((fetched.name.as_str(), fetched.bytes.as_slice()), ("thing", BYTES));
        let ComponentSource::Oci { reference: asked, manifest } = &fetched.source else { panic!("{fetched:?}") };
        assert!(asked.ends_with(reference), "{asked}");
        assert_eq!(*manifest, digest);
    }
    // Who has the blobs is told no token, and a hub's own token goes to no registry.
    for request in scene.0.requests() {
        let is_at_registry = request.path.starts_with("/v2/") && !request.at_cdn;
        let expected = if is_at_registry && request.status != 401 { Some("Bearer pull-maker/thing") } else { None };
        assert_eq!(request.authorization.as_deref(), expected, "{request:?}");
    }
}

#[test]
fn a_file_comes_from_its_address() {
    let scene = Scene::new();
    let fetched = scene.fetch(&format!("{}?download=true#a", scene.url())).unwrap();
    assert_eq!((fetched.name.as_str(), fetched.bytes.as_slice()), ("thing", BYTES));
    assert_eq!(fetched.source, ComponentSource::Url { url: scene.url() });
    assert_eq!(fetched.signer, None);
    assert!(scene.0.requests().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn a_file_of_this_machine_is_checked_all_the_same() {
    let (scene, folder) = (Scene::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("thing.wasm");
    std::fs::write(&file, BYTES).unwrap();
    let path = file.to_str().unwrap();
    let author = Author::new(1);
    let error = scene.fetch_checked(path, &signed(&author, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted, "{error}");
    std::fs::write(folder.path().join("thing.wasm.minisig"), author.sign(BYTES, "today")).unwrap();
    let fetched = scene.fetch_checked(path, &signed(&author, None)).unwrap();
    assert_eq!((fetched.name.as_str(), fetched.bytes.as_slice()), ("thing", BYTES));
    assert_eq!(fetched.source, ComponentSource::File { path: path.to_owned() });
}

#[test]
fn other_bytes_than_the_digest_says_are_not_used() {
    let scene = Scene::new();
    for address in [scene.url(), scene.oci(":1.0")] {
        let of = |bytes| ComponentChecks { digest: Some(Digest::of(bytes)), ..ComponentChecks::default() };
        assert_eq!(scene.fetch_checked(&address, &of(BYTES)).unwrap().bytes, BYTES);
        let error = scene.fetch_checked(&address, &of(b"else")).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidComponent);
        assert!(error.to_string().contains(&Digest::of(BYTES).to_string()), "{error}");
    }
}

#[test]
fn what_is_not_signed_with_the_key_is_not_used() {
    let (author, stranger) = (Author::new(1), Author::new(2));
    let files = Repository::new("maker/things")
        .large_file("thing.wasm", BYTES)
        .file("thing.wasm.minisig", &*author.sign(BYTES, "today"))
        .file("of-another", &*stranger.sign(BYTES, "today"))
        .file("of-else", &*author.sign(b"else", "today"))
        .file("long", &*"x".repeat(5000));
    let scene = Scene::with(artifact());
    scene.0.add(files);
    let signer = scene.fetch_checked(&scene.url(), &signed(&author, None)).unwrap().signer.unwrap();
    assert_eq!((signer.key, signer.comment.as_str()), (author.key(), "today"));
    let at = |name: &str| scene.url().replace("thing.wasm", name);
    let refused = |name: &str, kind: Kind, told: &str| {
        let error = scene.fetch_checked(&scene.url(), &signed(&author, Some(&at(name)))).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(told), "{name}: {error}");
    };
    refused("of-another", Kind::Untrusted, "another key");
    refused("of-else", Kind::Untrusted, "other bytes");
    refused("README.md", Kind::Untrusted, "not signed");
    refused("thing.wasm", Kind::Untrusted, "none that minisign made");
    refused("long", Kind::InvalidAnswer, "4096 bytes");
    // A signature that nobody's key is asked for proves nothing.
    let checks = ComponentChecks { key: None, ..signed(&author, Some(&at("of-another"))) };
    assert_eq!(scene.fetch_checked(&scene.url(), &checks).unwrap_err().kind(), Kind::InvalidInput);
}

#[test]
fn an_artifact_carries_its_signature() {
    let (author, stranger) = (Author::new(1), Author::new(2));
    let unsigned = Scene::new();
    let error = unsigned.fetch_checked(&unsigned.oci(":1.0"), &signed(&author, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted);
    assert!(error.to_string().contains(SIGNATURE_ANNOTATION), "{error}");
    for place in ["/annotations", "/layers/0/annotations"] {
        let signature = author.sign(BYTES, "today");
        let scene = changed(|manifest| {
            let (parent, _) = place.rsplit_once('/').unwrap();
            let parent = manifest.pointer_mut(parent).unwrap();
            parent["annotations"] = json!({SIGNATURE_ANNOTATION: signature});
        });
        let fetched = scene.fetch_checked(&scene.oci(":1.0"), &signed(&author, None)).unwrap();
        assert_eq!(fetched.signer.unwrap().key, author.key());
        let error = scene.fetch_checked(&scene.oci(":1.0"), &signed(&stranger, None)).unwrap_err();
        assert_eq!(error.kind(), Kind::Untrusted, "{error}");
    }
}

#[test]
fn a_registry_that_lies_is_not_believed() {
    let other = Digest::of(b"else");
    let lies: [(Kind, Scene); 10] = [
        (Kind::InvalidComponent, changed(|manifest| manifest["layers"][0]["size"] = json!(3))),
        (Kind::InvalidComponent, changed(|manifest| manifest["layers"][0]["size"] = json!(BYTES.len() + 1))),
        (Kind::InvalidAnswer, changed(|manifest| manifest["layers"][0]["size"] = json!(1_u64 << 40))),
        (Kind::InvalidAnswer, changed(|manifest| manifest["layers"][0]["size"] = json!(-1))),
        (Kind::NotFound, changed(|manifest| manifest["layers"][0]["digest"] = json!(format!("sha256:{other}")))),
        (Kind::InvalidAnswer, changed(|manifest| manifest["layers"][0]["digest"] = json!("sha512:00"))),
        (Kind::InvalidAnswer, changed(|manifest| manifest["layers"][0]["mediaType"] = json!("application/x-tar"))),
        (
            Kind::InvalidAnswer,
            changed(|manifest| manifest["layers"] = json!([manifest["layers"][0], manifest["layers"][0]])),
        ),
        (Kind::InvalidAnswer, changed(|manifest| manifest["layers"] = json!({}))),
        (
            Kind::InvalidAnswer,
            changed(|manifest| manifest["mediaType"] = json!("application/vnd.oci.image.index.v1+json")),
        ),
    ];
    for (number, (kind, scene)) in lies.iter().enumerate() {
        let error = scene.fetch(&scene.oci(":1.0")).unwrap_err();
        assert_eq!(error.kind(), *kind, "lie {number}: {error}");
    }
    let untyped = artifact().changed(|manifest| manifest["mediaType"] = Value::Null).served_as("text/html");
    let scene = Scene::with(untyped);
    assert_eq!(scene.fetch(&scene.oci(":1.0")).unwrap_err().kind(), Kind::InvalidAnswer);
}

#[test]
fn who_may_not_pull_is_told_so() {
    let scene = Scene::with(artifact().private());
    let error = scene.fetch(&scene.oci(":1.0")).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(!error.to_string().contains("requested access"), "the server's words are not repeated: {error}");
    let scene = Scene::new();
    assert_eq!(scene.fetch(&scene.oci(":2.0")).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(scene.fetch(&scene.url().replace("thing.wasm", "other.wasm")).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn who_is_logged_in_may_pull_what_is_private() {
    let scene = Scene::with(artifact().private());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let registry = scene.0.url().trim_start_matches("http://");
    let fetch = |registry: &str, login: &str| {
        std::fs::write(&file, json!({"auths": {registry: {"auth": login}}}).to_string()).unwrap();
        scene.fetch_by(&scene.oci(":1.0"), &ComponentChecks::default(), Some(file.clone()))
    };
    for (registry, login) in [("other.example", LOGIN), (registry, ""), (registry, "bWFrZXI6d3Jvbmc=")] {
        let error = fetch(registry, login).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{registry} {login}: {error}");
        assert!(login.is_empty() || !error.to_string().contains(login), "{error}");
    }
    scene.0.clear_requests();
    assert_eq!(fetch(&format!("http://{registry}/v2/"), LOGIN).unwrap().bytes, BYTES);
    // It is told to who gives the token alone.
    for request in scene.0.requests() {
        let has_login = request.authorization.is_some_and(|authorization| authorization.contains(LOGIN));
        assert_eq!(has_login, request.path.starts_with("/v2-token"), "{}", request.path);
    }
    // A registry that gives no tokens asks for the login itself.
    scene.0.clear_requests();
    scene.0.fault(Fault::new("/manifests/", Action::status(401, "WWW-Authenticate", "Basic realm=\"here\"")).times(1));
    assert_eq!(fetch(registry, LOGIN).unwrap_err().kind(), Kind::Denied);
    let logins: Vec<_> = scene.0.requests().into_iter().map(|request| request.authorization).collect();
    assert_eq!(logins[..2], [None, Some(format!("Basic {LOGIN}"))]);
}

#[test]
fn a_line_that_breaks_is_mended_or_told() {
    let faults: [(&str, Action, Kind); 13] = [
        ("/v2-blobs/", Action::WrongByte { at: 3 }, Kind::InvalidComponent),
        ("/v2-blobs/", Action::Longer(9), Kind::InvalidComponent),
        ("/v2-blobs/", Action::Shorter(9), Kind::InvalidComponent),
        ("/v2-blobs/", Action::Drop { after: 9 }, Kind::Unreachable),
        ("/v2-blobs/", Action::Stall { after: 9 }, Kind::Unreachable),
        ("/manifests/", Action::WrongByte { at: 20 }, Kind::InvalidComponent),
        ("/manifests/", Action::EndlessJson, Kind::InvalidAnswer),
        ("/manifests/", Action::Redirect("/v2/maker/thing/manifests/1.0".to_owned()), Kind::InvalidAnswer),
        ("/manifests/", Action::status(429, "Retry-After", "0"), Kind::RateLimited),
        ("/v2-token", Action::TornJson, Kind::Denied),
        ("/v2-token", Action::EndlessJson, Kind::InvalidAnswer),
        ("/v2-token", Action::status(503, "Retry-After", "0"), Kind::Unreachable),
        ("/v2-token", Action::Redirect("ftp://nowhere/".to_owned()), Kind::InvalidAnswer),
    ];
    for (path, action, kind) in faults {
        let scene = Scene::new();
        scene.0.fault(Fault::new(path, action.clone()));
        let error = scene.fetch(&scene.oci(":1.0")).unwrap_err();
        assert_eq!(error.kind(), kind, "{path} {action:?}: {error}");
        if matches!(kind, Kind::Unreachable | Kind::RateLimited) {
            scene.0.clear_faults();
            scene.0.fault(Fault::new(path, action).times(1));
            assert_eq!(scene.fetch(&scene.oci(":1.0")).unwrap().bytes, BYTES);
        }
    }
    let scene = Scene::new();
    scene.0.fault(Fault::new("/cdn/", Action::Longer(300 << 20)));
    let error = scene.fetch(&scene.url()).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidAnswer);
    assert!(error.to_string().contains("256 MiB"), "{error}");
}
