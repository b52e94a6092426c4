//! What a model is made of: its files by digest, where they came from, what is known of it and what the user bound it
//! to. One JSON file each.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::versioned::{parse_versioned, to_versioned_json};
use crate::{Digest, GitHash, ModelFacts, Name};

/// The most bytes of a manifest.
pub(crate) const MANIFEST_BYTES: u64 = 1 << 20;

/// The most bytes of a file's path in a model.
const PATH_BYTES: usize = 512;

/// A model in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    #[serde(flatten)]
    pub name: Name,
    /// Where its files came from.
    pub source: Source,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Its files, by path.
    pub files: Vec<ManifestFile>,
    /// What is known of it.
    #[serde(default)]
    pub facts: ModelFacts,
    /// What the user bound it to.
    #[serde(default, skip_serializing_if = "Bindings::is_empty")]
    pub bindings: Bindings,
}

/// Where a model's files came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// A hub.
    Hub {
        /// The URL that served it.
        endpoint: String,
        /// `OWNER/NAME`.
        repository: String,
        /// The revision that was asked for.
        revision: String,
        /// The commit that the revision stood for.
        commit: String,
        /// Whether the user said which files: it may lack some that a runner needs.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        chosen: bool,
    },
    /// Files on this machine.
    Import {
        /// Where they were.
        path: String,
    },
    /// Another model, whose weights were quantised.
    Conversion {
        /// That model's name, or its folder.
        from: String,
        /// The commit of that model, where it came from a hub.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// Bits a weight.
        bits: u32,
        /// Weights that share a scale.
        group_size: u32,
    },
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path in the model: plain parts between slashes.
    pub path: String,
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Its name in git, where it came from a hub that keeps it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitHash>,
}

/// What a user bound a model to: used where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bindings {
    /// The component that writes prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The component that chooses tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// The component that runs the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// A system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Parameters of the sampler: `temperature`, `top_p`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

impl Bindings {
    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Manifest {
    /// All bytes of its files.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The commit it is of, where it came from a hub.
    pub fn commit(&self) -> Option<&str> {
        match &self.source {
            Source::Hub { commit, .. } => Some(commit),
            Source::Conversion { commit, .. } => commit.as_deref(),
            Source::Import { .. } => None,
        }
    }

    /// Where the user said which files of a hub's model it has: that it may lack some that a runner needs, and how to get
    /// them.
    pub fn what_lacks(&self) -> Option<String> {
        let Source::Hub { chosen: true, .. } = self.source else { return None };
        Some(format!("patterns said which files were pulled; `wasmlx pull {}` fetches what else is needed", self.name))
    }

    /// Reads the manifest of a name. Somebody may have written into it, so nothing in it is believed: what leads to a
    /// path, and what is shown, is looked at.
    ///
    /// # Errors
    /// Why it cannot be used, as the end of a sentence.
    pub(crate) fn parse(text: &[u8], name: &Name) -> Result<Self, String> {
        let manifest: Self = parse_versioned(text)?;
        if manifest.name != *name {
            return Err(format!("it is of another model, {}", manifest.name));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The text to be written.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        to_versioned_json(self)
    }

    /// That it is one that may be written, and used.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_paths(self.files.iter().map(|file| file.path.as_str()))?;
        if !self.files.is_sorted_by(|one, other| one.path < other.path) {
            return Err("its files are not in order".to_owned());
        }
        let told = match &self.source {
            Source::Hub { endpoint, repository, revision, commit, .. } => vec![endpoint, repository, revision, commit],
            Source::Import { path } => vec![path],
            Source::Conversion { from, commit, .. } => [from].into_iter().chain(commit).collect(),
        };
        match told.into_iter().any(|text| text.chars().any(char::is_control)) {
            true => Err("it has control characters in its source".to_owned()),
            false => Ok(()),
        }
    }
}

/// That the paths of a model's files stay in its folder on every system, and are apart from each other even where case
/// does not count.
///
/// # Errors
/// Which one does not, as a sentence.
pub fn check_paths<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Result<(), String> {
    let mut files = HashSet::new();
    let mut folders = HashSet::new();
    for path in paths {
        if !is_plain_path(path) {
            return Err(format!("{path:?} is no path of a model's file"));
        }
        let folded = path.to_lowercase();
        folders.extend(folded.match_indices('/').map(|(end, _)| folded[..end].to_owned()));
        if !files.insert(folded) {
            return Err(format!("the file {path} is there twice, or but for case"));
        }
    }
    match files.intersection(&folders).next() {
        Some(path) => Err(format!("{path} is a file and a folder")),
        None => Ok(()),
    }
}

/// Whether a path is relative and made of plain parts between slashes. Colons and a dot at the end mean something else
/// on some systems.
fn is_plain_path(path: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.ends_with(['.', ' '])
            && !part.contains(|character: char| character.is_control() || "\\:*?\"<>|".contains(character))
    };
    path.len() <= PATH_BYTES && path.split('/').all(is_plain)
}
