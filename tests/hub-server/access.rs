//! Who may see which repository, and how the hub says no.

use serde_json::json;

use crate::http::{Request, Response};
use crate::repository::Repository;
use crate::state::{Bearer, State};

/// What came of asking for a repository.
pub(crate) enum Access {
    Given(Box<Repository>),
    Refused(Response),
}

/// A repository's page and lists, at a revision.
pub(crate) fn page(state: &State, request: &Request, id: &str, revision: &str) -> Access {
    let bearer = state.bearer(request);
    if bearer == Bearer::Unknown {
        return Access::Refused(refusal(401, None, "Invalid credentials in Authorization header"));
    }
    let Some(commits) = state.commits(id).filter(|commits| bearer == Bearer::Member || !commits[0].private) else {
        // Those who are not logged in are not told whether it is there.
        let (status, message) = match bearer {
            Bearer::Nobody => (401, "Invalid username or password."),
            _ => (404, "Repository not found"),
        };
        return Access::Refused(refusal(status, Some("RepoNotFound"), message));
    };
    let named =
        |repository: &&Repository| repository.commit() == revision || repository.tags.iter().any(|tag| tag == revision);
    let found = if revision == "main" { commits.last() } else { commits.iter().rev().find(named) };
    match found {
        Some(repository) => Access::Given(Box::new(repository.clone())),
        None => {
            let message = format!("Invalid rev id: {revision}");
            Access::Refused(refusal(404, Some("RevisionNotFound"), &message))
        }
    }
}

/// A repository's files, at a revision.
pub(crate) fn files(state: &State, request: &Request, id: &str, revision: &str) -> Access {
    match page(state, request, id, revision) {
        Access::Given(repository) if repository.gated => match state.bearer(request) {
            Bearer::Member => Access::Given(repository),
            Bearer::Nobody => {
                let message =
                    format!("Access to model {id} is restricted. You must have access to it and be authenticated.");
                Access::Refused(refusal(401, Some("GatedRepo"), &message))
            }
            _ => {
                let message = format!("Access to model {id} is restricted and you are not in the authorized list.");
                Access::Refused(refusal(403, Some("GatedRepo"), &message))
            }
        },
        other => other,
    }
}

/// The hub's way of saying no.
pub(crate) fn refusal(status: u16, code: Option<&str>, message: &str) -> Response {
    let response = Response::json(status, &json!({"error": message})).header("X-Error-Message", message);
    match code {
        Some(code) => response.header("X-Error-Code", code),
        None => response,
    }
}
