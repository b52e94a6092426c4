//! What a component is given: what its manifest asks for and the user granted.

use std::fmt;
use std::path::Path;

use crate::authority::Authority;
use crate::grants::{Grant, GrantedFolder, Grants, STORE, folder_name};
use crate::{Component, ComponentError, ComponentErrorKind, Requests};

/// Where a component's requests and a user's grants meet. Either alone gives nothing.
#[derive(Debug, Clone)]
pub struct Permissions {
    component: String,
    requests: Requests,
    grants: Grants,
}

/// A folder that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenFolder<'a> {
    pub(crate) name: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) writable: bool,
}

impl Permissions {
    /// What a component is given of these grants.
    pub fn new(component: &Component, grants: &Grants) -> Self {
        let requests = component.manifest().map(|manifest| manifest.requests.clone()).unwrap_or_default();
        Self { component: component.name().to_owned(), requests, grants: grants.clone() }
    }

    /// The models that it is given besides the one that the user chose, as the grants name them.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.grants.iter().filter(|grant| self.asks_for(grant)).filter_map(|grant| match grant {
            Grant::Model(model) => Some(model.as_str()),
            _ => None,
        })
    }

    /// The most tokens a minute: the lowest of what is granted and what the component asks for; none without either.
    pub fn tokens(&self) -> Option<u32> {
        let granted = self.grants.iter().filter_map(|grant| match grant {
            Grant::Tokens(count) => Some(*count),
            _ => None,
        });
        granted.chain(self.requests.tokens).min()
    }

    /// What does not meet, a sentence each: grants that the component does not ask for, and requests that no grant is
    /// for.
    pub fn unmet(&self) -> Vec<String> {
        let component = &self.component;
        let idle = self.grants.iter().filter(|grant| !self.asks_for(grant)).map(|grant| {
            format!("{component} is granted {grant}, but its manifest does not ask for it: it is not given")
        });
        let Requests { model, http, read, write, kv, env, store, tokens: _ } = &self.requests;
        let lists = [
            ("model", model),
            ("http", http),
            ("read", read),
            ("write", write),
            ("kv", kv),
            ("env", env),
            ("store", store),
        ];
        let asked = lists.into_iter().flat_map(|(kind, list)| list.iter().map(move |text| (kind, text)));
        // Who asks for anything may be content with nothing.
        let refused = asked
            .filter(|(_, text)| *text != ANY)
            .filter(|(kind, text)| !self.grants.iter().any(|grant| asks(kind, text, grant)))
            .map(|(kind, text)| format!("{component} asks for {kind}={text}, which is not granted"));
        idle.chain(refused).collect()
    }

    /// Whether a model besides the chosen one is given.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Denied`]; [`ComponentErrorKind::NotFound`] where it is neither asked for nor granted.
    pub(crate) fn model(&self, name: &str) -> Result<(), ComponentError> {
        let is_granted = |grant: &Grant| matches!(grant, Grant::Model(model) if model_name(model) == name);
        match (asked_in(&self.requests.model, name), self.grants.iter().any(is_granted)) {
            (true, true) => Ok(()),
            (false, false) => {
                Err(ComponentError::new(ComponentErrorKind::NotFound, "", format!("the session has no model `{name}`")))
            }
            (asked, _) => Err(self.denied(asked, format_args!("model={name}"))),
        }
    }

    /// Whether a key-value space is given.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Denied`].
    pub(crate) fn key_value(&self, space: &str) -> Result<(), ComponentError> {
        let asked = asked_in(&self.requests.kv, space);
        let granted = self.grants.iter().any(|grant| matches!(grant, Grant::KeyValue(name) if name == space));
        if asked && granted { Ok(()) } else { Err(self.denied(asked, format_args!("kv={space}"))) }
    }

    /// Whether the store may be looked at.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Denied`].
    pub(crate) fn store(&self) -> Result<(), ComponentError> {
        let asked = asked_in(&self.requests.store, STORE);
        let granted = self.grants.iter().any(|grant| *grant == Grant::Store);
        if asked && granted { Ok(()) } else { Err(self.denied(asked, format_args!("store={STORE}"))) }
    }

    /// The grant that a request to this host and port goes by.
    pub(crate) fn http(&self, host: &str, port: u16) -> Option<&Authority> {
        self.grants.iter().filter(|grant| self.asks_for(grant)).find_map(|grant| match grant {
            Grant::Http(authority) if authority.allows(host, port) => Some(authority),
            _ => None,
        })
    }

    /// The folders that are given, each once.
    pub(crate) fn folders(&self) -> Vec<GivenFolder<'_>> {
        let mut given: Vec<GivenFolder<'_>> = Vec::new();
        for grant in self.grants.iter().filter(|grant| self.asks_for(grant)) {
            let (GrantedFolder { name, folder }, writable) = match grant {
                Grant::Read(folder) => (folder, false),
                Grant::Write(folder) => (folder, true),
                _ => continue,
            };
            let folder = GivenFolder { name, folder, writable };
            match given.iter_mut().find(|other| other.name == name) {
                Some(other) if writable => *other = folder,
                Some(_) => {}
                None => given.push(folder),
            }
        }
        given
    }

    /// The names of the environment variables that are given.
    pub(crate) fn environment(&self) -> impl Iterator<Item = &str> {
        self.grants.iter().filter(|grant| self.asks_for(grant)).filter_map(|grant| match grant {
            Grant::Environment(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether the manifest asks for what a grant is for. A limit needs no asking.
    fn asks_for(&self, grant: &Grant) -> bool {
        let Requests { model, http, read, write, kv, env, store, tokens: _ } = &self.requests;
        let (kind, list) = match grant {
            Grant::Model(_) => ("model", model),
            Grant::Http(_) => ("http", http),
            Grant::Read(_) => ("read", read),
            Grant::Write(_) => ("write", write),
            Grant::KeyValue(_) => ("kv", kv),
            Grant::Environment(_) => ("env", env),
            Grant::Store => ("store", store),
            Grant::Tokens(_) => return true,
        };
        list.iter().any(|text| asks(kind, text, grant))
    }

    fn denied(&self, asked: bool, what: fmt::Arguments<'_>) -> ComponentError {
        let why = if asked { "the user did not grant it" } else { "its manifest does not ask for it" };
        ComponentError::new(ComponentErrorKind::Denied, "", format!("{} is not given {what}: {why}", self.component))
    }
}

/// What asks for whatever the user names.
const ANY: &str = "*";

/// Whether the entry `text` of the manifest's list `kind` asks for what a grant is for.
fn asks(kind: &str, text: &str, grant: &Grant) -> bool {
    let is = |name: &str| text == ANY || text == name;
    match (kind, grant) {
        ("model", Grant::Model(model)) => is(model_name(model)),
        ("http", Grant::Http(granted)) => {
            text == ANY || text.parse::<Authority>().is_ok_and(|asked| asked.asks_for(granted))
        }
        ("read", Grant::Read(folder)) | ("write", Grant::Write(folder)) => {
            text == ANY || folder_name(text) == folder.name
        }
        ("kv", Grant::KeyValue(space)) => is(space),
        ("env", Grant::Environment(name)) => is(name),
        ("store", Grant::Store) => is(STORE),
        _ => false,
    }
}

fn asked_in(list: &[String], name: &str) -> bool {
    list.iter().any(|text| text == ANY || text == name)
}

/// What a granted model is called: a folder by its last part.
fn model_name(model: &str) -> &str {
    let path = Path::new(model);
    let is_path = path.is_absolute() || model.starts_with('.');
    let last = if is_path { path.file_name().and_then(|name| name.to_str()) } else { None };
    last.unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(requests: Requests, grants: &[&str]) -> Permissions {
        let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        Permissions { component: "probe".into(), requests, grants }
    }

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    /// A manifest that asks for one of each kind.
    fn one_of_each() -> Requests {
        Requests {
            model: list(&["small"]),
            http: list(&["api.example.org", "localhost"]),
            read: list(&["./docs"]),
            write: list(&["out"]),
            kv: list(&["notes"]),
            env: list(&["LANG"]),
            store: list(&["read"]),
            tokens: Some(100),
        }
    }

    const ALL: [&str; 8] = [
        "model=/models/small",
        "http=api.example.org",
        "http=localhost:4321",
        "read=docs",
        "write=out=/var/out",
        "kv=notes",
        "env=LANG",
        "store=read",
    ];

    #[test]
    fn what_is_asked_for_and_granted_is_given() {
        let given = permissions(one_of_each(), &ALL);
        assert_eq!(given.models().collect::<Vec<_>>(), ["/models/small"]);
        given.model("small").unwrap();
        given.key_value("notes").unwrap();
        given.store().unwrap();
        assert!(given.http("API.example.org", 443).is_some() && given.http("localhost", 4321).is_some());
        assert!(given.http("localhost", 80).is_none() && given.http("example.org", 443).is_none());
        let folders: Vec<_> = given.folders().iter().map(|folder| (folder.name, folder.writable)).collect();
        assert_eq!(folders, [("docs", false), ("out", true)]);
        assert_eq!(given.environment().collect::<Vec<_>>(), ["LANG"]);
        assert_eq!(given.unmet(), [""; 0]);
    }

    #[test]
    fn either_alone_gives_nothing() {
        for given in [permissions(one_of_each(), &[]), permissions(Requests::default(), &ALL)] {
            assert_eq!(given.models().count() + given.folders().len() + given.environment().count(), 0);
            assert!(given.http("api.example.org", 443).is_none());
            let denied = [given.model("small"), given.key_value("notes"), given.store()].map(Result::unwrap_err);
            assert_eq!(denied.map(|error| error.kind()), [ComponentErrorKind::Denied; 3]);
            assert_eq!(given.unmet().len(), 8, "{:?}", given.unmet());
        }
        assert_eq!(permissions(one_of_each(), &[]).model("other").unwrap_err().kind(), ComponentErrorKind::NotFound);
    }

    #[test]
    fn an_error_tells_which_half_is_missing() {
        let asked = permissions(one_of_each(), &[]).key_value("notes").unwrap_err();
        assert_eq!(asked.to_string(), "probe is not given kv=notes: the user did not grant it");
        let granted = permissions(Requests::default(), &["kv=notes"]).key_value("notes").unwrap_err();
        assert_eq!(granted.to_string(), "probe is not given kv=notes: its manifest does not ask for it");
    }

    #[test]
    fn a_star_asks_for_what_the_user_names() {
        let requests = Requests { http: list(&["*"]), read: list(&["*"]), ..Requests::default() };
        let given = permissions(requests, &["http=a.org", "read=x=/tmp", "write=y"]);
        assert!(given.http("a.org", 80).is_some() && given.http("b.org", 80).is_none());
        assert_eq!(given.folders().len(), 1);
    }

    #[test]
    fn a_folder_to_write_is_one_to_read() {
        let requests = Requests { read: list(&["d"]), write: list(&["d"]), ..Requests::default() };
        for grants in [["read=d", "write=d"], ["write=d", "read=d"]] {
            let given = permissions(requests.clone(), &grants);
            assert_eq!(given.folders().iter().map(|folder| folder.writable).collect::<Vec<_>>(), [true]);
        }
    }

    #[test]
    fn tokens_are_a_limit_whoever_names_it() {
        let asks = |tokens| Requests { tokens, ..Requests::default() };
        assert_eq!(permissions(asks(None), &[]).tokens(), None);
        assert_eq!(permissions(asks(Some(9)), &[]).tokens(), Some(9));
        assert_eq!(permissions(asks(None), &["tokens=7"]).tokens(), Some(7));
        assert_eq!(permissions(asks(Some(9)), &["tokens=7", "tokens=8"]).tokens(), Some(7));
    }
}
