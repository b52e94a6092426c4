//! `/ID/resolve/REV/PATH`: where a file is; and the bytes themselves.

use std::ops::Range;

use crate::access::{self, Access};
use crate::fault::Action;
use crate::http::{Body, Request, Response, encode};
use crate::models;
use crate::repository::{Repository, RepositoryFile};
use crate::state::State;

/// Answers `/ID/resolve/REV/PATH`: LFS files are at the CDN, small ones under an address that names the commit.
pub(crate) fn resolve(state: &State, request: &Request, id: &str, revision: &str, path: &str) -> Response {
    let repository = match access::files(state, request, id, revision) {
        Access::Given(repository) => repository,
        Access::Refused(response) => return response,
    };
    let Some(file) = repository.files.iter().find(|file| file.path == path) else {
        let message = "Entry not found";
        return access::refusal(404, Some("EntryNotFound"), message).header("X-Repo-Commit", repository.commit());
    };
    let response = Response::empty(302)
        .header("X-Repo-Commit", repository.commit())
        .header("X-Linked-Size", file.size.to_string())
        .header("X-Linked-ETag", format!("\"{}\"", file.content_hash()))
        .header("Accept-Ranges", "bytes");
    if file.lfs.is_some() {
        return response.header("Location", state.signed_url(file.content_hash()));
    }
    let etag = encode(&format!("\"{}\"", file.oid));
    let mut response = response
        .header("Location", format!("/api/resolve-cache/models/{}?etag={etag}", models::file_path(&repository, path)));
    response.status = 307;
    response
}

/// Answers `/api/resolve-cache/models/ID/COMMIT/PATH`: a small file's bytes.
pub(crate) fn small(
    state: &State,
    request: &Request,
    (id, commit, path): (&str, &str, &str),
    fault: Option<&Action>,
) -> Response {
    let repository = match access::files(state, request, id, commit) {
        Access::Given(repository) => repository,
        Access::Refused(response) => return response,
    };
    match repository.files.iter().find(|file| file.path == path) {
        Some(file) => bytes(request, file, fault).header("X-Repo-Commit", repository.commit()),
        None => access::refusal(404, Some("EntryNotFound"), "Entry not found"),
    }
}

/// Answers `/cdn/SHA256?...`: an LFS file's bytes, to whom the hub sent here with a signature and no other secret.
pub(crate) fn cdn(state: &State, request: &Request, sha256: &str, fault: Option<&Action>) -> Response {
    if request.header("authorization").is_some() {
        return access::refusal(400, None, "Only one auth mechanism allowed");
    }
    if request.parameter("Signature") != Some(&*state.signature(sha256)) {
        return access::refusal(403, None, "Request has expired");
    }
    let of = |repository: &Repository| repository.files.iter().find(|file| file.content_hash() == sha256).cloned();
    match state.all().iter().find_map(of) {
        Some(file) => bytes(request, &file, fault),
        None => access::refusal(404, None, "no such object"),
    }
}

fn bytes(request: &Request, file: &RepositoryFile, fault: Option<&Action>) -> Response {
    let etag = match fault {
        Some(Action::Etag(etag)) => etag,
        _ => file.content_hash(),
    };
    let etag = format!("\"{etag}\"");
    let answer = |status, range: Range<u64>| Response {
        status,
        headers: vec![("ETag".to_owned(), etag.clone()), ("Accept-Ranges".to_owned(), "bytes".to_owned())],
        body: Body::Part(file.content.clone(), range),
    };
    let whole = || answer(200, 0..file.size);
    let changed = request.header("if-range").is_some_and(|known| known != etag);
    match request.range(file.size) {
        Some(_) if changed || matches!(fault, Some(Action::WholeFile)) => whole(),
        None => whole(),
        Some(None) => Response::empty(416).header("Content-Range", format!("bytes */{}", file.size)),
        Some(Some(mut range)) => {
            if matches!(fault, Some(Action::WrongRange)) {
                let shift = if range.start == 0 { (file.size - range.end).min(1) } else { range.start.min(1) };
                range = if range.start == 0 {
                    range.start + shift..range.end + shift
                } else {
                    range.start - shift..range.end - shift
                };
            }
            let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
            answer(206, range).header("Content-Range", content_range)
        }
    }
}
