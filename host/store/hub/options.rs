//! What a hub client is to do: which hubs to ask, as whom, and whether at all.

use std::ffi::OsString;
use std::path::PathBuf;

use url::Url;

use super::api::no_hub;
use super::{Patience, Token, registry_login};
use crate::{StoreError, StoreErrorKind};

/// The hub where nobody says otherwise.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// What a hub client is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// The hubs to ask, in order: the next is asked where one cannot be reached or does not give what is wanted.
    pub endpoints: Vec<String>,
    /// Who asks. It is sent to the first endpoint, and to huggingface.co where that is another of them.
    pub token: Option<Token>,
    /// Docker's `config.json`, which has logins at registries.
    pub registry_logins: Option<PathBuf>,
    /// Asks nobody: each request is an error.
    pub offline: bool,
    /// How long to wait, and how often to ask.
    pub patience: Patience,
}

impl Default for HubOptions {
    /// The usual hub, nobody, online.
    fn default() -> Self {
        let endpoints = vec![DEFAULT_ENDPOINT.to_owned()];
        Self { endpoints, token: None, registry_logins: None, offline: false, patience: Patience::default() }
    }
}

impl HubOptions {
    /// As the environment has it: `HF_ENDPOINT` (one, or several with commas between), a token ([`Token`] says where),
    /// `DOCKER_CONFIG` (`~/.docker` where nothing else is said), `HF_HUB_OFFLINE` or `WASMLX_OFFLINE`.
    pub fn from_environment() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    pub(super) fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
        let registry_logins = registry_login::config_file(variable);
        let mut options = Self { token: Token::find(variable), registry_logins, ..Self::default() };
        let endpoints: Vec<String> = list(&text("HF_ENDPOINT")).collect();
        if !endpoints.is_empty() {
            options.endpoints = endpoints;
        }
        let is_on = |name: &str| ["1", "ON", "YES", "TRUE"].contains(&&*text(name).to_ascii_uppercase());
        options.offline = is_on("HF_HUB_OFFLINE") || is_on("WASMLX_OFFLINE");
        options
    }
}

/// The entries of a list with commas.
fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned)
}

/// A hub, or another server that something is asked of.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Without a slash at its end.
    pub(crate) url: Url,
    /// Whether the token is for it.
    pub(crate) trusted: bool,
    /// Whether it is a hub, in whose place another may be named.
    pub(crate) is_hub: bool,
}

impl Endpoint {
    /// The server of an address, which is no hub.
    pub(super) fn of(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Self { url, trusted: false, is_hub: false }
    }

    /// The endpoints that were named.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for what is no address of a hub.
    pub(crate) fn parse_all(endpoints: &[String]) -> Result<Vec<Self>, StoreError> {
        let mut parsed: Vec<Self> = Vec::new();
        for text in endpoints {
            let url = parse(text)?;
            let trusted = parsed.is_empty() || url.as_str().trim_end_matches('/') == DEFAULT_ENDPOINT;
            let trusted = trusted && is_confidential(&url);
            parsed.push(Self { url, trusted, is_hub: true });
        }
        match parsed.is_empty() {
            true => Err(no_hub()),
            false => Ok(parsed),
        }
    }

    /// An address on it. `parts` are encoded; one that holds slashes stays one part.
    pub(crate) fn join<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Whether an address is on it.
    pub(crate) fn has(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// As it is shown and noted.
    pub(crate) fn name(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

fn parse(text: &str) -> Result<Url, StoreError> {
    let url = Url::parse(text).ok().filter(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && is_plain
            && url.query().is_none()
            && url.fragment().is_none()
    });
    // What was written is not repeated: it may hold a password.
    url.ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::InvalidInput,
            "an endpoint is no address of a hub; write one such as https://huggingface.co, without user or password \
             (--endpoint, HF_ENDPOINT)",
        )
    })
}

/// Whether what is sent there is for no third to read: over TLS, or on this machine.
pub(super) fn is_confidential(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_variables(&|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_names_hubs_and_says_whether_to_ask() {
        assert_eq!(options(&[]), HubOptions::default());
        let several = options(&[("HF_ENDPOINT", "https://a.example/hf, https://b.example,")]);
        assert_eq!(several.endpoints, ["https://a.example/hf", "https://b.example"]);
        for (name, value) in [("HF_HUB_OFFLINE", "1"), ("WASMLX_OFFLINE", "true"), ("WASMLX_OFFLINE", "yes")] {
            assert!(options(&[(name, value)]).offline, "{name}={value}");
        }
        assert!(!options(&[("HF_HUB_OFFLINE", "0"), ("WASMLX_OFFLINE", "")]).offline);
    }

    #[test]
    fn the_token_is_where_huggingface_hub_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("huggingface").join("token");
        std::fs::create_dir(folder.path().join("huggingface")).unwrap();
        std::fs::write(&file, "hf_file\n").unwrap();
        let (cache, file, home) = (folder.path().to_str().unwrap(), file.to_str().unwrap(), "/nowhere");
        let of_file = Token::new("hf_file");
        for variables in [
            [("XDG_CACHE_HOME", cache), ("HOME", home)],
            [("HF_TOKEN_PATH", file), ("HF_HOME", home)],
            [("HF_HOME", file.strip_suffix("/token").unwrap()), ("HF_TOKEN", "")],
        ] {
            assert_eq!(options(&variables).token, of_file, "{variables:?}");
        }
        assert_eq!(options(&[("HF_TOKEN", "hf_one"), ("HF_TOKEN_PATH", file)]).token, Token::new("hf_one"));
        assert_eq!(options(&[("HOME", home)]).token, None);
    }

    #[test]
    fn the_token_is_for_the_first_hub_and_the_usual_one_and_over_no_open_line() {
        let trusted = |endpoints: &[&str]| {
            let endpoints: Vec<String> = endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect();
            Endpoint::parse_all(&endpoints).unwrap().iter().map(|endpoint| endpoint.trusted).collect::<Vec<_>>()
        };
        assert_eq!(trusted(&["https://a.example", "https://b.example", DEFAULT_ENDPOINT]), [true, false, true]);
        assert_eq!(trusted(&["http://a.example"]), [false]);
        assert_eq!(trusted(&["http://huggingface.co", "http://127.0.0.1:8080"]), [false, false]);
        for local in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"] {
            assert_eq!(trusted(&[local]), [true], "{local}");
        }
    }

    #[test]
    fn a_file_of_a_folder_stays_one_part_of_an_address() {
        let endpoint = &Endpoint::parse_all(&["https://a.example/hf/".to_owned()]).unwrap()[0];
        let url = endpoint.join(["api", "models", "revision", "refs/pr/1"]);
        assert_eq!(url.as_str(), "https://a.example/hf/api/models/revision/refs%2Fpr%2F1");
        assert_eq!(endpoint.name(), "https://a.example/hf");
    }
}
