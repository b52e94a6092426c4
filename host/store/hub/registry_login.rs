//! Logins at registries, where `docker login` and its like keep them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::files::read_bounded;

/// The most bytes of the file.
const CONFIG_BYTES: u64 = 1 << 20;

/// Docker's `config.json`, as far as it is read: programs that keep logins elsewhere (`credHelpers`) are not run.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    /// User and password as a header has them: `user:password` in base64.
    #[serde(default)]
    auth: String,
}

/// Where the file lies: in `DOCKER_CONFIG`, which is `~/.docker` where nothing else is said.
pub(super) fn config_file(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// `Authorization` for a registry by the first of its names that is known, marked so that no log of HTTP shows it.
/// None where there is no login; who has one that cannot be used is told.
pub(super) fn login(config: &Path, registry: &[&str]) -> Option<HeaderValue> {
    let text = match read_bounded(config, CONFIG_BYTES) {
        // Most users have none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        text => text,
    };
    let parsed = text.and_then(|text| Ok(serde_json::from_slice::<Config>(&text)?));
    let unused = |why: &str| tracing::warn!("the login that {} may have is not used: {why}", config.display());
    let Ok(Config { auths }) = parsed else {
        // What it says of the text may be of a password.
        unused("the file cannot be read, or is not as docker writes it");
        return None;
    };
    let of = |name: &&str| auths.iter().find(|(address, _)| host(address) == *name);
    let (_, Login { auth }) = registry.iter().find_map(of)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if auth.is_empty() || !auth.bytes().all(is_base64) {
        unused("it is kept elsewhere, by a credential helper, or torn");
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("Basic {auth}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The registry of an entry, which is one of a host, or an address of its programming interface.
fn host(address: &str) -> &str {
    let address = address.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    address.trim_end_matches("/v1").trim_end_matches("/v2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_as_docker_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let found = |text: &str, registry: &[&str]| {
            std::fs::write(&file, text).unwrap();
            login(&file, registry).map(|header| {
                assert_eq!(format!("{header:?}"), "Sensitive");
                header.to_str().unwrap().to_owned()
            })
        };
        let several = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "ghcr.io": {"auth": "dTpx"},
            "localhost:5000": {}, "a.example": {"auth": "torn\n"}}, "credsStore": "desktop"}"#;
        assert_eq!(found(several, &["index.docker.io", "docker.io"]).as_deref(), Some("Basic dTpw"));
        assert_eq!(found(several, &["ghcr.io"]).as_deref(), Some("Basic dTpx"));
        for registry in ["localhost:5000", "a.example", "docker.io", "index.docker.io.example", ""] {
            assert_eq!(found(several, &[registry]), None, "{registry}");
        }
        for text in ["", "{}", "[]", r#"{"auths": {"ghcr.io": 3}}"#] {
            assert_eq!(found(text, &["ghcr.io"]), None, "{text}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(login(&file, &["ghcr.io"]), None);
    }

    #[test]
    fn the_file_is_where_docker_has_it() {
        let of = |variables: &[(&str, &str)]| {
            config_file(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert_eq!(of(&[("HOME", "/users/a")]), Some("/users/a/.docker/config.json".into()));
        assert_eq!(of(&[("HOME", "/users/a"), ("DOCKER_CONFIG", "/b")]), Some("/b/config.json".into()));
        assert_eq!(of(&[("DOCKER_CONFIG", "")]), None);
    }
}
