//! A hub's answer to a search, read by what it says and no more than is believed.

use serde_json::{Map, Value};

use super::{Candidate, Origin, date};
use crate::facts::{ModelFacts, Quantization, Task};

/// The most models of an answer, and tags of a model, that are looked at.
const MOST_MODELS: usize = 1000;
const MOST_TAGS: usize = 64;
/// The longest part of a name, and the longest tag.
const MOST_BYTES: usize = 96;

impl Candidate {
    /// The models of an answer of the hub's `GET /api/models`, a list of objects. What is no model of a plain name is
    /// left out, and of each model what is not of its type.
    pub fn of_answer(models: &[Value]) -> Vec<Self> {
        models.iter().take(MOST_MODELS).filter_map(|model| Self::of_model(model.as_object()?)).collect()
    }

    /// Whether its texts are such as [`of_answer`](Self::of_answer) gives: what was kept may have been changed.
    pub(super) fn is_plain(&self) -> bool {
        let texts = self.tags.iter().chain(&self.license).chain(&self.description);
        is_id(&self.id) && texts.into_iter().all(|text| is_tag(text))
    }

    fn of_model(model: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| model.get(key).and_then(Value::as_str);
        let id = text("id").or(text("modelId")).filter(|id| is_id(id))?;
        let tags: Vec<String> = model.get("tags").and_then(Value::as_array).map_or_else(Vec::new, |tags| {
            tags.iter().filter_map(Value::as_str).filter(|tag| is_tag(tag)).take(MOST_TAGS).map(str::to_owned).collect()
        });
        let number = |key: &str| model.get(key).and_then(whole_number);
        let tagged = |prefix: &str| tags.iter().find_map(|tag| tag.strip_prefix(prefix)).map(str::to_owned);
        let card_license = model.get("cardData").and_then(|card| card["license"].as_str()).filter(|it| is_tag(it));
        let (facts, bytes) = facts(model, id, &tags, text("pipeline_tag"));
        Some(Self {
            id: id.to_owned(),
            origin: Origin::Hub,
            facts,
            license: tagged("license:").or(card_license.map(str::to_owned)),
            description: None,
            downloads: number("downloads"),
            likes: number("likes"),
            trending: number("trendingScore"),
            modified: text("lastModified").and_then(date::seconds),
            // `false`, or how access is given: `auto`, `manual`.
            gated: model.get("gated").is_some_and(|gated| gated.is_string() || gated == &Value::Bool(true)),
            bytes,
            tags,
        })
    }
}

/// What an answer says of a model, and the bytes of its weights.
fn facts(
    model: &Map<String, Value>,
    id: &str,
    tags: &[String],
    pipeline_tag: Option<&str>,
) -> (ModelFacts, Option<u64>) {
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let named = ModelFacts::of_id(id, &tags);
    // The hub's `config` is a part of the model's, in its form.
    let config = model.get("config").filter(|config| config.is_object());
    let configured = config.map(|config| ModelFacts::of_config(config.to_string().as_bytes())).unwrap_or_default();
    let mut told = ModelFacts { task: pipeline_tag.and_then(Task::of_tag), ..ModelFacts::default() };
    let mut bytes = None;
    let gguf = model.get("gguf").and_then(Value::as_object);
    if let Some(gguf) = gguf {
        told.parameters = gguf.get("total").and_then(whole_number);
        told.context = gguf.get("context_length").and_then(whole_number);
        told.quantization = Some(match named.quantization.clone() {
            Some(quantization @ Quantization::Gguf(_)) => quantization,
            _ => Quantization::Gguf("GGUF".to_owned()),
        });
    }
    let stored = model.get("safetensors").and_then(|it| it["parameters"].as_object());
    if let Some(stored) = stored {
        let numbers = Numbers::of(stored);
        bytes = Some(numbers.bytes).filter(|&bytes| bytes > 0);
        let quantization = configured.quantization.as_ref().or(named.quantization.as_ref());
        let group = configured.group_size.unwrap_or(64);
        told.parameters = told.parameters.or(numbers.parameters(quantization, group).filter(|&count| count > 0));
        if configured.quantization.is_none() && named.quantization.is_none() {
            told.quantization = Quantization::of_most(numbers.counts);
        }
    }
    (told.or(configured).or(named), bytes)
}

/// How many numbers of which type a model's files hold.
struct Numbers<'a> {
    counts: Vec<(&'a str, u64)>,
    bytes: u64,
}

impl<'a> Numbers<'a> {
    fn of(stored: &'a Map<String, Value>) -> Self {
        let counts: Vec<(&str, u64)> =
            stored.iter().filter_map(|(dtype, count)| Some((dtype.as_str(), whole_number(count)?))).collect();
        let bytes = |(dtype, count): &(&str, u64)| count.saturating_mul(bits(dtype)?).checked_div(8);
        let bytes = counts.iter().filter_map(bytes).fold(0, u64::saturating_add);
        Self { counts, bytes }
    }

    /// Numbers that they stand for: MLX packs several into a word, beside a scale and a bias for each group. How other
    /// programs pack them is not known.
    fn parameters(&self, quantization: Option<&Quantization>, group: u32) -> Option<u64> {
        let total = |keep: fn(&str) -> bool| {
            self.counts
                .iter()
                .filter(|(dtype, _)| keep(dtype))
                .fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
        };
        let packed_bits = match quantization {
            Some(Quantization::Affine(bits)) => u64::from(*bits),
            Some(Quantization::Mxfp4 | Quantization::Nvfp4) => 4,
            Some(Quantization::Mxfp8) => 8,
            Some(Quantization::Other(method)) if method != "fp8" => return None,
            _ => return Some(total(|_| true)),
        };
        let words = total(|dtype| dtype == "U32");
        let unpacked = words.saturating_mul(32) / packed_bits;
        let scales = match quantization {
            Some(Quantization::Affine(_)) => unpacked / u64::from(group.max(1)) * 2,
            _ => 0,
        };
        Some(unpacked.saturating_add(total(|dtype| matches!(dtype, "F32" | "F16" | "BF16")).saturating_sub(scales)))
    }
}

/// Bits of a number of one of safetensors' types.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F64" | "I64" | "U64" => 64,
        "F32" | "I32" | "U32" => 32,
        "F16" | "BF16" | "I16" | "U16" => 16,
        "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
        "F4" => 4,
        _ => return None,
    })
}

/// A count; trends are written with a fraction at times.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|number| (0.0..1e18).contains(number)).map(|number| number as u64))
}

/// `OWNER/NAME`, of the characters that the hub allows; the oldest models have no owner.
fn is_id(id: &str) -> bool {
    let is_part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && part.len() <= MOST_BYTES && !part.starts_with('.') && part.bytes().all(plain)
    };
    id.split('/').count() <= 2 && id.split('/').all(is_part)
}

/// A tag that can be shown as it is; others, in other scripts, are no loss to a search by words of ASCII.
fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && tag.len() <= MOST_BYTES && tag.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
