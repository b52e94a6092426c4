//! How a model's weights are quantised.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wasmlx_backend::BackendError;

use super::{Written, cannot_be};
use crate::error::{invalid_model, unsupported};

/// `quantization` of a `config.json` as mlx-lm writes it: a packing for all layers, and exceptions by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    /// What holds where nothing else is said. The tensors have the last word: their shapes tell the packing.
    pub packing: Packing,
    /// By a layer's name: another packing, or none for a layer that is not quantised.
    pub exceptions: BTreeMap<String, Option<Packing>>,
}

/// An affine quantisation: numbers of `bits` bits, and a scale and a bias for every group of `group_size` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// 2, 3, 4, 5, 6 or 8.
    pub bits: i32,
    /// 32, 64 or 128 numbers of a row.
    pub group_size: i32,
}

impl Packing {
    /// A packing that MLX has.
    pub fn new(bits: u64, group_size: u64) -> Option<Self> {
        let known = matches!(bits, 2..=6 | 8) && matches!(group_size, 32 | 64 | 128);
        known.then_some(Self { bits: bits as i32, group_size: group_size as i32 })
    }
}

impl std::fmt::Display for Packing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-bit, groups of {}", self.bits, self.group_size)
    }
}

impl Quantization {
    pub(super) fn read(written: &Written) -> Result<Option<Self>, BackendError> {
        if let Some(quantization) = &written.quantization {
            return Self::parse(quantization).map(Some);
        }
        let Some(foreign) = &written.quantization_config else { return Ok(None) };
        let method = foreign.get("quant_method").and_then(Value::as_str).unwrap_or("of no name");
        Err(unsupported(format!(
            "the weights are quantised by the method `{method}`; what is known here is MLX's own affine quantisation. \
             `mlx_lm convert -q` makes it from the model's unquantised weights"
        )))
    }

    fn parse(written: &Map<String, Value>) -> Result<Self, BackendError> {
        let packing = parse_packing("quantization", written)?;
        let mut exceptions = BTreeMap::new();
        for (name, value) in written {
            match value {
                Value::Object(exception) => {
                    exceptions.insert(name.clone(), Some(parse_packing(name, exception)?));
                }
                Value::Bool(false) => {
                    exceptions.insert(name.clone(), None);
                }
                Value::Bool(true) => {
                    exceptions.insert(name.clone(), Some(packing));
                }
                _ => {}
            }
        }
        Ok(Self { packing, exceptions })
    }
}

fn parse_packing(name: &str, written: &Map<String, Value>) -> Result<Packing, BackendError> {
    match written.get("mode").map(|mode| mode.as_str().unwrap_or_default()) {
        None | Some("affine") => {}
        Some(mode) => {
            return Err(unsupported(format!(
                "config.json quantises `{name}` in the mode `{mode}`; only `affine` is known here"
            )));
        }
    }
    let number = |key: &str| {
        let value = written.get(key).ok_or_else(|| invalid_model(format!("config.json lacks `{key}` in `{name}`")))?;
        value.as_u64().ok_or_else(|| cannot_be(&format!("{name}.{key}"), value))
    };
    let (bits, group_size) = (number("bits")?, number("group_size")?);
    Packing::new(bits, group_size).ok_or_else(|| {
        unsupported(format!(
            "config.json quantises `{name}` to {bits} bits in groups of {group_size}; known are 2, 3, 4, 5, 6 and 8 \
             bits in groups of 32, 64 and 128"
        ))
    })
}
