//! `/api/models`: what the hub knows of models, lists of files, search.

use serde_json::{Map, Value, json};

use crate::access::{self, Access};
use crate::http::{Request, Response, encode};
use crate::repository::{Repository, RepositoryFile};
use crate::state::State;

/// Entries on a page of a list of files, as on the hub.
const PAGE: usize = 1_000;

/// Answers `/api/models/...`; `parts` are those after it.
pub(crate) fn answer(state: &State, request: &Request, parts: &[String]) -> Response {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        [] => search(state, request),
        [owner, name] => information(state, request, &format!("{owner}/{name}"), "main"),
        [owner, name, "revision", revision] => information(state, request, &format!("{owner}/{name}"), revision),
        [owner, name, "tree", revision, ref folder @ ..] => {
            tree(state, request, &format!("{owner}/{name}"), revision, &folder.join("/"))
        }
        _ => Response::json(404, &json!({"error": "Sorry, we can't find the page you are looking for."})),
    }
}

fn information(state: &State, request: &Request, id: &str, revision: &str) -> Response {
    let repository = match access::page(state, request, id, revision) {
        Access::Given(repository) => repository,
        Access::Refused(response) => return response,
    };
    let mut model = whole(&repository);
    if request.parameter("blobs").is_some_and(is_true) {
        model["siblings"] = repository.files.iter().map(sibling_with_blob).collect();
    }
    let expanded: Vec<&str> = request.parameters("expand[]").chain(request.parameters("expand")).collect();
    Response::json(200, &if expanded.is_empty() { Value::Object(model) } else { only(&model, &expanded) })
}

fn tree(state: &State, request: &Request, id: &str, revision: &str, folder: &str) -> Response {
    let repository = match access::page(state, request, id, revision) {
        Access::Given(repository) => repository,
        Access::Refused(response) => return response,
    };
    let recursive = request.parameter("recursive").is_some_and(is_true);
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut entries: Vec<Value> = Vec::new();
    let mut folders = Vec::new();
    for file in repository.files.iter().filter(|file| file.path.starts_with(&prefix)) {
        let rest = &file.path[prefix.len()..];
        for (at, _) in rest.match_indices('/') {
            let path = &file.path[..prefix.len() + at];
            if !folders.contains(&path) && (recursive || !rest[..at].contains('/')) {
                folders.push(path);
                entries.push(json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": path}));
            }
        }
        if recursive || !rest.contains('/') {
            entries.push(entry(file));
        }
    }
    page(state, request, entries, PAGE)
}

fn search(state: &State, request: &Request) -> Response {
    let mut found: Vec<Map<String, Value>> = state
        .newest()
        .iter()
        .filter(|repository| !repository.private)
        .map(whole)
        .filter(|model| matches(request, model))
        .collect();
    if let Some(key) = request.parameter("sort") {
        // Numbers and dates in ISO 8601, both from the greatest down.
        found.sort_by(|one, other| {
            let number = |model: &Map<String, Value>| model.get(key).and_then(Value::as_f64).unwrap_or(0.0);
            let text = |model: &Map<String, Value>| model.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            number(other).total_cmp(&number(one)).then_with(|| text(other).cmp(&text(one)))
        });
    }
    let expanded: Vec<&str> = request.parameters("expand[]").chain(request.parameters("expand")).collect();
    let asked = |name: &str| request.parameter(name).is_some_and(is_true);
    let entries = found.iter().map(|model| {
        if !expanded.is_empty() {
            return only(model, &expanded);
        }
        let mut names = vec![
            "_id",
            "id",
            "likes",
            "trendingScore",
            "private",
            "downloads",
            "tags",
            "pipeline_tag",
            "library_name",
            "createdAt",
            "modelId",
        ];
        if asked("full") {
            names.extend(["author", "sha", "lastModified", "gated", "disabled", "siblings"]);
        }
        if asked("config") {
            names.push("config");
        }
        if asked("cardData") {
            names.push("cardData");
        }
        only(model, &names)
    });
    let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
    page(state, request, entries.collect(), limit)
}

/// One page of a list, and in `Link` where the next is.
fn page(state: &State, request: &Request, entries: Vec<Value>, limit: usize) -> Response {
    let limit = state.page_size().map_or(limit, |most| most.min(limit)).max(1);
    let start = request.parameter("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0).min(entries.len());
    let end = (start + limit).min(entries.len());
    let response = Response::json(200, &Value::from(&entries[start..end]));
    if end == entries.len() {
        return response;
    }
    let address = format!("{}{}?{}cursor={end}", state.hub_url(), request.path, request.query_without("cursor"));
    response.header("Link", format!("<{address}>; rel=\"next\""))
}

/// Whether a model is what a search asks for.
fn matches(request: &Request, model: &Map<String, Value>) -> bool {
    let text = |name: &str| model.get(name).and_then(Value::as_str).unwrap_or("").to_lowercase();
    let tags: Vec<&str> =
        model.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let has = |name: &str| tags.contains(&name) || text("pipeline_tag") == name || text("library_name") == name;
    let wanted =
        request.parameters("filter").chain(request.parameters("pipeline_tag")).flat_map(|list| list.split(','));
    request.parameters("search").all(|words| text("id").contains(&words.to_lowercase()))
        && request.parameters("author").all(|author| text("author") == author.to_lowercase())
        && wanted.filter(|name| !name.is_empty()).all(has)
}

/// All that the hub says of a model.
fn whole(repository: &Repository) -> Map<String, Value> {
    let commit = repository.commit();
    let author = repository.id.split('/').next();
    let mut model = Map::new();
    let mut put = |name: &str, value: Value| model.insert(name.to_owned(), value);
    put("_id", json!(commit[..24]));
    put("id", json!(repository.id));
    put("modelId", json!(repository.id));
    put("author", json!(author));
    put("sha", json!(commit));
    put("lastModified", json!("2025-06-01T12:00:00.000Z"));
    put("private", json!(repository.private));
    put("gated", if repository.gated { json!("manual") } else { json!(false) });
    put("disabled", json!(false));
    put("downloads", json!(0));
    put("likes", json!(0));
    put("trendingScore", json!(0));
    put("tags", json!([]));
    put("createdAt", json!("2025-05-01T12:00:00.000Z"));
    put("siblings", repository.files.iter().map(|file| json!({"rfilename": file.path})).collect());
    put("usedStorage", json!(repository.files.iter().map(|file| file.size).sum::<u64>()));
    for (name, value) in &repository.fields {
        model.insert(name.clone(), value.clone());
    }
    model
}

fn entry(file: &RepositoryFile) -> Value {
    let mut entry = json!({"type": "file", "oid": file.oid, "size": file.size, "path": file.path});
    if let Some(lfs) = &file.lfs {
        entry["lfs"] = json!({"oid": lfs.sha256, "size": file.size, "pointerSize": lfs.pointer_size});
    }
    entry
}

fn sibling_with_blob(file: &RepositoryFile) -> Value {
    let mut sibling = json!({"rfilename": file.path, "blobId": file.oid, "size": file.size});
    if let Some(lfs) = &file.lfs {
        sibling["lfs"] = json!({"sha256": lfs.sha256, "size": file.size, "pointerSize": lfs.pointer_size});
    }
    sibling
}

fn only(model: &Map<String, Value>, names: &[&str]) -> Value {
    let always = ["_id", "id"];
    let named = model.iter().filter(|(name, _)| always.contains(&name.as_str()) || names.contains(&name.as_str()));
    Value::Object(named.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn is_true(text: &str) -> bool {
    ["true", "True", "1"].contains(&text)
}

/// The address of a file.
pub(crate) fn file_path(repository: &Repository, path: &str) -> String {
    let path: Vec<String> = path.split('/').map(encode).collect();
    format!("{}/{}/{}", repository.id, repository.commit(), path.join("/"))
}
