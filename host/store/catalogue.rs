//! The models that the program knows of by itself: `catalogue.toml`, read once.
//!
//! What it says of them follows from their shapes by the rules for any model; it promises neither that a hub still has
//! them nor that they are good.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Name;
use crate::estimate::{Holding, MemoryEstimate};
use crate::facts::{ModelFacts, Quantization, Task};
use crate::search::{Candidate, Origin};

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Its id on the hub: `mlx-community/Qwen3-0.6B-4bit`.
    pub id: String,
    /// What it is called for short: `qwen3-0.6b`.
    pub short: String,
    /// Its name for people.
    pub name: String,
    /// What it is good for.
    pub description: String,
    /// Its licence, by the hub's identifier.
    pub license: String,
    /// What was run here.
    pub checked: Checked,
    /// What is known of it.
    pub facts: ModelFacts,
}

/// What was run here of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checked {
    /// The model itself, which answered questions.
    Answers,
    /// Random weights of its shape and quantisation, which gave the tokens that mlx-lm gives.
    Shape,
    /// Small random models of its architecture, which gave the tokens that mlx-lm gives.
    Architecture,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    shape: BTreeMap<String, Map<String, Value>>,
    model: Vec<WrittenModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    id: String,
    short: String,
    name: String,
    description: String,
    shape: String,
    quantization: Quantization,
    license: String,
    checked: Checked,
}

static CATALOGUE: LazyLock<Vec<CatalogueEntry>> = LazyLock::new(|| {
    // A part of the program, which its tests read.
    let Written { shape, model } = toml::from_str(include_str!("catalogue.toml")).expect("catalogue.toml is valid");
    model.into_iter().map(|model| CatalogueEntry::new(model, &shape)).collect()
});

/// All of it, the smallest first.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &CATALOGUE
}

/// The entry of a short name, in any case: what `wasmlx pull qwen3-0.6b` means.
pub fn catalogue_entry(short: &str) -> Option<&'static CatalogueEntry> {
    CATALOGUE.iter().find(|entry| entry.short.eq_ignore_ascii_case(short))
}

/// The model that a short name of the catalogue stands for, at the revision that may follow it.
pub fn catalogue_name(text: &str) -> Option<Name> {
    let (short, revision) = text.split_once(':').map_or((text, None), |(short, revision)| (short, Some(revision)));
    let name = Name::parse(&catalogue_entry(short)?.id).ok()?;
    match revision {
        Some(revision) => name.with_tag(revision).ok(),
        None => Some(name),
    }
}

/// The catalogue as a table in Markdown, as README has it. Memory is that of a GPU, with 4,096 tokens.
pub fn catalogue_table() -> String {
    let mut table =
        "| model | `wasmlx pull` | architecture | parameters | weights | memory | context | licence | checked |\n\
                     |---|---|---|---:|---|---:|---:|---|---|\n"
            .to_owned();
    for entry in catalogue() {
        let facts = &entry.facts;
        let quantization = facts.quantization.as_ref().map(Quantization::to_string).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| [{}](https://huggingface.co/{}) | `{}` | `{}` | {} | {quantization} | {:.1} GB | {} | {} | {} |",
            entry.name,
            entry.id,
            entry.short,
            facts.model_type.as_deref().unwrap_or_default(),
            parameters(facts.parameters.unwrap_or_default()),
            entry.memory(Holding::AS_STORED).total_bytes as f64 / 1e9,
            facts.context.unwrap_or_default(),
            entry.license,
            entry.checked.name(),
        );
    }
    table
}

/// `135 M`, `1.7 B`.
fn parameters(count: u64) -> String {
    match count {
        ..1_000_000_000 => format!("{} M", (count + 500_000) / 1_000_000),
        _ => format!("{:.1} B", count as f64 / 1e9),
    }
}

impl CatalogueEntry {
    fn new(model: WrittenModel, shapes: &BTreeMap<String, Map<String, Value>>) -> Self {
        let shape = &shapes[&model.shape];
        let mut facts = ModelFacts::of_config(&serde_json::to_vec(shape).unwrap_or_default());
        facts.parameters = shape.get("parameters").and_then(Value::as_u64);
        facts.task = Some(Task::TextGeneration);
        facts.group_size = matches!(model.quantization, Quantization::Affine(_)).then_some(64);
        facts.quantization = Some(model.quantization);
        let WrittenModel { id, short, name, description, license, checked, .. } = model;
        Self { id, short, name, description, license, checked, facts }
    }

    /// Bytes of its weights, by their number and quantisation.
    pub fn bytes(&self) -> Option<u64> {
        let bits = self.facts.quantization.as_ref()?.bits_per_number(self.facts.group_size)?;
        Some((self.facts.parameters? as f64 * bits / 8.0) as u64)
    }

    /// What memory it takes, held so.
    pub fn memory(&self, holding: Holding) -> MemoryEstimate {
        MemoryEstimate::new(&self.facts, self.bytes(), holding)
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id.clone(),
            origin: Origin::Catalogue,
            facts: self.facts.clone(),
            license: Some(self.license.clone()),
            description: Some(self.description.clone()),
            bytes: self.bytes(),
            ..Candidate::default()
        }
    }
}

impl Checked {
    /// Its name: `shape`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Shape => "shape",
            Self::Architecture => "architecture",
        }
    }
}
