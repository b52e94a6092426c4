//! The headers of safetensors files, read only to count parameters.
//!
//! What loads a model checks a header in full; here one that is not what it should be is no source of facts, and no
//! more is read of it than a bound says.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::{ModelFacts, Quantization};

/// A header longer than this is not read: those of published models are below one megabyte.
const HEADER_BYTES: u64 = 16 << 20;

/// What one tensor is: its type and its dimensions.
#[derive(Debug, Deserialize)]
pub(super) struct Tensor {
    dtype: String,
    shape: Vec<u64>,
}

impl Tensor {
    fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size))
    }
}

/// Adds the tensors of a file; whether its header could be read.
pub(super) fn read(path: &Path, tensors: &mut BTreeMap<String, Tensor>) -> bool {
    let open = || {
        let mut file = BufReader::new(File::open(path)?);
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        std::io::Result::Ok((file, u64::from_le_bytes(length)))
    };
    match open() {
        Ok((file, length)) if length <= HEADER_BYTES => {
            let header = serde_json::from_reader(file.take(length));
            header.map(|Header(mut entries)| tensors.append(&mut entries)).is_ok()
        }
        _ => false,
    }
}

/// The tensors of a header; its other entry is the writer's own.
struct Header(BTreeMap<String, Tensor>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        tensors.insert(name, map.next_value()?);
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Numbers that tensors stand for. A quantised matrix, `X.weight` beside `X.scales`, has as many as its scales have
/// groups; scales and biases themselves were not learned. Wavelengths of rotary positions are no parameters either.
pub(super) fn parameters(tensors: &BTreeMap<String, Tensor>, facts: &ModelFacts) -> u64 {
    let group = u64::from(facts.group_size.unwrap_or(64));
    let count = |(name, tensor): (&String, &Tensor)| {
        if name.ends_with("rotary_emb.inv_freq") {
            return 0;
        }
        let part = |suffix: &str| name.strip_suffix(suffix);
        let is_packed = |layer: &str| {
            let weight = tensors.get(&format!("{layer}.weight"));
            weight.is_some_and(|weight| matches!(weight.dtype.as_str(), "U32" | "U8"))
        };
        if let Some(layer) = part(".scales").or(part(".biases"))
            && is_packed(layer)
        {
            return 0;
        }
        match part(".weight").and_then(|layer| tensors.get(&format!("{layer}.scales"))) {
            Some(scales) if matches!(tensor.dtype.as_str(), "U32" | "U8") => unpacked(tensor, scales, group, facts),
            _ => tensor.elements(),
        }
    };
    tensors.iter().map(count).fold(0, u64::saturating_add)
}

/// The floating-point type that most numbers have: a `config.json` tells what the model was trained in, which a copy of
/// it need not be stored in. None where most are packed.
pub(super) fn floats(tensors: &BTreeMap<String, Tensor>) -> Option<Quantization> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in tensors.values() {
        let count = counts.entry(&tensor.dtype).or_default();
        *count = count.saturating_add(tensor.elements());
    }
    Quantization::of_most(counts)
}

/// Numbers of a packed matrix. Where its words do not hold that many at any width, it has groups of another size than
/// most, and the width decides.
fn unpacked(words: &Tensor, scales: &Tensor, group: u64, facts: &ModelFacts) -> u64 {
    let packed_bits = words.elements().saturating_mul(if words.dtype == "U32" { 32 } else { 8 });
    let numbers = scales.elements().saturating_mul(group);
    let fits = |numbers: u64| (2..=8).any(|bits| numbers.checked_mul(bits) == Some(packed_bits));
    if fits(numbers) {
        return numbers;
    }
    let bits = match facts.quantization {
        Some(Quantization::Affine(bits)) => u64::from(bits),
        Some(Quantization::Mxfp8) => 8,
        _ => 4,
    };
    packed_bits / bits.max(1)
}
