//! What a shell offers where a model or a component is to be named: what is on this machine.
//!
//! The shell starts the program anew for each Tab, so only small files are read; nothing is written, loaded or said.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use wasmlx::{ComponentKind, Content, Host};

/// Words of `wasmlx bench --sampler` beside components.
const BENCH_SAMPLERS: [&str; 4] = ["native", "plan", "step", "read"];

/// A model that can be used: of the store, the built-in one, or a folder.
pub(crate) fn model() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut names = host().map(|host| host.models()).unwrap_or_default();
        names.push("builtin".to_owned());
        named_or_path(typed, &names, &PathCompleter::dir())
    })
}

/// A model whose files are in the store.
pub(crate) fn stored_model() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| named(typed, &stored_models()))
}

/// The same, or one that is unfinished.
pub(crate) fn removable_model() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let unfinished = host().and_then(|host| host.store().list().ok()).map(|list| list.unfinished);
        let unfinished = unfinished.into_iter().flatten().map(|model| model.name);
        named(typed, &stored_models().into_iter().chain(unfinished).collect::<Vec<_>>())
    })
}

/// A model of the catalogue, or one of the store that is brought up to date.
#[cfg(feature = "hub")]
pub(crate) fn model_of_a_hub() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        // Short names are offered to those who begin one.
        let short = wasmlx::catalogue().iter().filter(|_| !typed.is_empty()).map(|entry| entry.short.as_str());
        let known = beginning(typed, wasmlx::catalogue().iter().map(|entry| entry.id.as_str()).chain(short));
        let mut stored = stored_models();
        stored.retain(|name| name.contains('/'));
        known.into_iter().chain(named(typed, &stored)).collect()
    })
}

/// A component of a kind, by its name or its file.
pub(crate) fn component(kind: ComponentKind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| named_or_path(typed, &components(Some(kind)), &PathCompleter::any()))
}

/// Any component, by its name or its file.
pub(crate) fn any_component() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| named_or_path(typed, &components(None), &PathCompleter::any()))
}

/// A component that was installed.
pub(crate) fn installed_component() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let list = host().and_then(|host| host.list_components().ok()).unwrap_or_default();
        let installed = list.components.into_iter().filter(|component| !component.built_in).map(|it| it.name);
        named(typed, &installed.chain(list.broken.into_iter().map(|(name, _)| name)).collect::<Vec<_>>())
    })
}

/// What `wasmlx bench` compares.
pub(crate) fn bench_sampler() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut names = components(Some(ComponentKind::Policy));
        names.extend(BENCH_SAMPLERS.map(str::to_owned));
        named_or_path(typed, &names, &PathCompleter::any())
    })
}

/// Whoever does not even have a home gets no candidates; a command says why.
fn host() -> Option<Host> {
    Host::builder().build().ok()
}

fn stored_models() -> Vec<String> {
    let list = host().and_then(|host| host.store().list().ok()).unwrap_or_default();
    let is_stored = |content: &Content| matches!(content, Content::Stored(_));
    list.models.into_iter().filter(|model| is_stored(&model.content)).map(|model| model.name).collect()
}

fn components(kind: Option<ComponentKind>) -> Vec<String> {
    let list = host().and_then(|host| host.list_components().ok()).unwrap_or_default();
    let kind = kind.map(|kind| kind.to_string());
    let fits = |of: &str| kind.as_deref().is_none_or(|kind| kind == of);
    list.components.into_iter().filter(|component| fits(&component.kind)).map(|component| component.name).collect()
}

/// Names; and paths where what was typed begins one, or is no name's beginning.
fn named_or_path(typed: &OsStr, names: &[String], paths: &PathCompleter) -> Vec<CompletionCandidate> {
    let begins_path = typed.to_str().is_none_or(|typed| typed.starts_with(['.', '/', '~']));
    let named = if begins_path { Vec::new() } else { named(typed, names) };
    if named.is_empty() && !typed.is_empty() { paths.complete(typed) } else { named }
}

/// The names that begin with what was typed; where none does, the last parts of names that do and that mean one model.
fn named(typed: &OsStr, names: &[String]) -> Vec<CompletionCandidate> {
    let fitting = beginning(typed, names.iter().map(String::as_str));
    if !fitting.is_empty() {
        return fitting;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name.rsplit('/').next().unwrap_or(name)).or_default() += 1;
    }
    beginning(typed, counts.into_iter().filter(|(_, count)| *count == 1).map(|(short, _)| short))
}

/// The words that begin with what was typed, but for those of which a shell takes characters for its own.
fn beginning<'a>(typed: &OsStr, words: impl Iterator<Item = &'a str>) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:%@+".contains(&byte);
    let mut fitting: Vec<&str> = words.filter(|word| word.starts_with(typed) && word.bytes().all(is_plain)).collect();
    fitting.sort_unstable();
    fitting.dedup();
    fitting.into_iter().map(CompletionCandidate::new).collect()
}
