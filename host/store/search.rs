//! Finding models: what is asked for, what is known of each candidate, which match, and in what order.
//!
//! Nothing here speaks to a hub or looks at the clock. Candidates come from a hub's answer ([`Candidate::of_answer`]),
//! the catalogue or the store; every filter is checked here, whether a hub has applied it or not.

mod answer;
mod cache;
mod date;
mod offline;
mod quality;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::estimate::{Basis, MemoryEstimate, ModelMemory};
use crate::facts::{ModelFacts, Quantization, Runnable, SizeClass, Task};

pub use cache::{CachedAnswer, SearchCache};
pub use quality::{TRUSTED_PUBLISHERS, quality};

/// What is asked for. An empty list asks for nothing; where a fact of a model is not known, a filter that asks for it
/// does not match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SearchQuery {
    /// Words of the name, or of the description.
    pub words: String,
    /// What the model is for.
    pub task: Option<Task>,
    /// Any of these sizes.
    pub size: Vec<SizeClass>,
    /// Any of these quantisations.
    pub quantization: Vec<Quantization>,
    /// Any of these architectures, as `config.json` names them.
    pub architecture: Vec<String>,
    /// None of these.
    pub exclude_architecture: Vec<String>,
    /// All of these tags of the hub.
    pub tag: Vec<String>,
    /// Any of these licences, by the hub's identifiers: `apache-2.0`.
    pub license: Vec<String>,
    /// Whose it is: the first part of its name.
    pub author: Option<String>,
    /// Downloads in the last month, at least.
    pub min_downloads: Option<u64>,
    /// Likes, at least.
    pub min_likes: Option<u64>,
    /// Bytes of its weights, at most.
    pub max_bytes: Option<u64>,
    /// Memory that it must fit in by its estimate.
    pub fits: Option<Fits>,
    /// Whether it must run on this build.
    pub runnable: bool,
    /// The order.
    pub sort: Sort,
    /// The most rows.
    pub limit: usize,
}

/// A memory to fit in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fits {
    /// This machine's.
    Machine,
    /// So many bytes.
    Bytes(u64),
}

/// In what order rows come: the most first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// Downloads in the last month.
    #[default]
    Downloads,
    /// Likes.
    Likes,
    /// What the hub calls trending.
    Trending,
    /// The last change.
    Recent,
    /// [`quality`].
    Quality,
}

/// Where a candidate was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// On the hub.
    #[default]
    Hub,
    /// In the catalogue that ships with the program.
    Catalogue,
    /// In the store.
    Store,
}

/// What is known of a candidate. Its texts have neither control characters nor anything that reorders a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// `OWNER/NAME`; of a model in the store, its name there.
    pub id: String,
    /// Where it was found.
    #[serde(default)]
    pub origin: Origin,
    /// What is known of it.
    #[serde(default)]
    pub facts: ModelFacts,
    /// The hub's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its licence, by the hub's identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// A sentence about it, where the catalogue has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Downloads in the last month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloads: Option<u64>,
    /// Likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likes: Option<u64>,
    /// What the hub calls trending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trending: Option<u64>,
    /// When it was changed last, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<u64>,
    /// Whether its owner lets in whom they choose.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gated: bool,
    /// Bytes of its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a search depends on beside what is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// The architectures that run here.
    pub architectures: &'a [&'a str],
    /// What this machine has for models.
    pub machine: ModelMemory,
    /// The ids of models that are in the store, in lowercase.
    pub stored: &'a BTreeSet<String>,
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// What is known of it.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Whether it is in the store.
    pub stored: bool,
    /// The class of its size.
    pub size_class: Option<SizeClass>,
    /// From 0 to 100, by [`quality`].
    pub quality: u8,
    /// What memory it would take here.
    pub memory: MemoryEstimate,
    /// Whether this build runs it.
    #[serde(flatten)]
    pub runnable: Runnable,
}

/// The candidates that match, in order, as many as were asked for. One that is in the store or the catalogue too is a
/// row once, where it comes first.
pub fn select(candidates: Vec<Candidate>, query: &SearchQuery, around: &Surroundings<'_>) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut rows: Vec<Found> = candidates
        .into_iter()
        .filter(|candidate| seen.insert(candidate.id.to_ascii_lowercase()))
        .map(|candidate| Found::new(candidate, around))
        .filter(|row| row.matches(query, around))
        .collect();
    rows.sort_by(|one, other| query.sort.compare(one, other));
    rows.truncate(query.limit);
    rows
}

impl Found {
    fn new(mut candidate: Candidate, around: &Surroundings<'_>) -> Self {
        // A hub tells no model's shape.
        if let Some(entry) = catalogue().iter().find(|entry| entry.id == candidate.id) {
            candidate.facts = candidate.facts.or(entry.facts.clone());
            candidate.description.get_or_insert_with(|| entry.description.clone());
        }
        Self {
            stored: around.stored.contains(&candidate.id.to_ascii_lowercase()),
            size_class: candidate.facts.size_class(),
            quality: quality(&candidate, around.now),
            memory: MemoryEstimate::on(&candidate.facts, candidate.bytes, around.machine),
            runnable: candidate.facts.runnable(around.architectures),
            candidate,
        }
    }

    fn matches(&self, query: &SearchQuery, around: &Surroundings<'_>) -> bool {
        let Candidate { facts, .. } = &self.candidate;
        let any = |wanted: &[String], have: Option<&str>| {
            wanted.is_empty() || have.is_some_and(|have| wanted.iter().any(|it| it.eq_ignore_ascii_case(have)))
        };
        let model_type = facts.model_type.as_deref();
        let at_least =
            |least: Option<u64>, have: Option<u64>| least.is_none_or(|least| have.is_some_and(|it| it >= least));
        let at_most = |most: Option<u64>, have: Option<u64>| most.is_none_or(|most| have.is_some_and(|it| it <= most));

        query.task.is_none_or(|task| facts.task == Some(task))
            && (query.size.is_empty() || self.size_class.is_some_and(|size| query.size.contains(&size)))
            && (query.quantization.is_empty()
                || facts
                    .quantization
                    .as_ref()
                    .is_some_and(|it| query.quantization.iter().any(|asked| asked.covers(it))))
            && any(&query.architecture, model_type)
            && (query.exclude_architecture.is_empty() || !any(&query.exclude_architecture, model_type))
            && query.tag.iter().all(|tag| self.candidate.tags.iter().any(|it| it.eq_ignore_ascii_case(tag)))
            && any(&query.license, self.candidate.license.as_deref())
            && query.author.as_ref().is_none_or(|author| self.candidate.author().eq_ignore_ascii_case(author))
            && at_least(query.min_downloads, self.candidate.downloads)
            && at_least(query.min_likes, self.candidate.likes)
            && at_most(query.max_bytes, self.candidate.bytes)
            && self.fits(query.fits, around.machine.bytes)
            && (!query.runnable || self.runnable == Runnable::Yes)
    }

    /// Whether its estimate fits; one made from nothing says nothing.
    fn fits(&self, asked: Option<Fits>, machine: Option<u64>) -> bool {
        let memory = match asked {
            None => return true,
            Some(Fits::Machine) => machine,
            Some(Fits::Bytes(bytes)) => Some(bytes),
        };
        let is_known = self.memory.basis != Basis::Nothing;
        is_known && memory.is_some_and(|memory| self.memory.total_bytes <= memory)
    }
}

impl Candidate {
    /// The first part of its name.
    pub fn author(&self) -> &str {
        self.id.split_once('/').map_or("", |(author, _)| author)
    }

    /// Whether every word is in its name, its description, its tags or its architecture: a hub's search, where there is
    /// no hub.
    pub fn has_words(&self, words: &str) -> bool {
        let texts = [Some(self.id.as_str()), self.description.as_deref(), self.facts.model_type.as_deref()];
        let texts: Vec<String> =
            texts.into_iter().flatten().chain(self.tags.iter().map(String::as_str)).map(str::to_lowercase).collect();
        words.to_lowercase().split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Downloads, Self::Likes, Self::Trending, Self::Recent, Self::Quality];

    /// The order of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name() == name)
    }

    /// The most first; what is not known last. Between equals the more downloaded, then by name, so that the same
    /// answer has the same order.
    fn compare(self, one: &Found, other: &Found) -> Ordering {
        let key = |row: &Found| {
            let candidate = &row.candidate;
            match self {
                Self::Downloads => candidate.downloads,
                Self::Likes => candidate.likes,
                Self::Trending => candidate.trending,
                Self::Recent => candidate.modified,
                Self::Quality => Some(u64::from(row.quality)),
            }
        };
        key(other)
            .cmp(&key(one))
            .then_with(|| other.candidate.downloads.cmp(&one.candidate.downloads))
            .then_with(|| other.quality.cmp(&one.quality))
            .then_with(|| one.candidate.id.cmp(&other.candidate.id))
    }

    /// Its name: `downloads`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Trending => "trending",
            Self::Recent => "recent",
            Self::Quality => "quality",
        }
    }
}
