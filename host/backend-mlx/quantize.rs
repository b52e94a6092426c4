//! A model's folder written again with its matrices quantised, as `mlx_lm convert -q` writes it.
//!
//! Quantised is what mlx-lm quantises (`mlx_lm.utils.quantize_model`, version 0.32): the matrices of linear layers and
//! embeddings whose rows are whole groups. All else is kept, in the type that `config.json` names. A file of weights
//! becomes a file of weights, tensor by tensor, so that memory holds one file's quantised tensors and no more.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mlx_rs::{Array, Dtype, memory, ops, transforms};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};
use wasmlx_backend::{BackendError, LoadProgress, QuantizeRequest};

use crate::config::{ModelConfig, Packing};
use crate::error::{Doing, broken_off, invalid_input, invalid_model};
use crate::files::read_small;
use crate::safetensors::{Element, Header, TensorEntry};
use crate::weights::{INDEX, list, read_header};

type Progress<'a> = dyn FnMut(LoadProgress) -> ControlFlow<()> + 'a;

/// Reads `config.json` and the weights of `request.source`, and writes both to `request.destination`.
pub(crate) fn quantize(request: &QuantizeRequest, progress: &mut Progress<'_>) -> Result<(), BackendError> {
    let QuantizeRequest { source, destination, bits, group_size } = request;
    let packing = Packing::new((*bits).into(), (*group_size).into()).ok_or_else(|| {
        invalid_input(format!(
            "weights cannot be quantised to {bits} bits in groups of {group_size}; known are 2, 3, 4, 5, 6 and 8 bits \
             in groups of 32, 64 and 128"
        ))
    })?;
    let written = read_small(&source.join("config.json"))?;
    let config = ModelConfig::parse(&written)
        .map_err(|error| BackendError::new(error.kind(), format!("{}: {error}", source.display())))?;
    if let Some(quantization) = &config.quantization {
        let held = quantization.packing;
        return Err(invalid_input(format!(
            "the weights of {} are quantised already ({held}); quantise the model's original weights instead",
            source.display()
        )));
    }
    let plan = Plan::read(source, &config, packing, dtype(&written))?;
    plan.write(destination, progress)?;
    write(&destination.join("config.json"), &quantized_config(&written, packing)?)
}

/// What is to be written, known before the first tensor is read.
struct Plan {
    files: Vec<(PathBuf, Vec<TensorEntry>)>,
    packing: Packing,
    dtype: Option<Dtype>,
    bytes_total: u64,
}

impl Plan {
    fn read(source: &Path, config: &ModelConfig, packing: Packing, dtype: Option<Dtype>) -> Result<Self, BackendError> {
        let tied = config.tie_word_embeddings == Some(true);
        let mut files = Vec::new();
        for path in list(source)? {
            let (Header { mut tensors }, _) = read_header(&path)?;
            // What loading leaves out as well: wavelengths that follow from the configuration, and an output layer
            // beside the embedding that takes its place.
            tensors.retain(|entry| !entry.name.ends_with("rotary_emb.inv_freq"));
            tensors.retain(|entry| !(tied && entry.name.starts_with("lm_head.")));
            files.push((path, tensors));
        }
        let entries = || files.iter().flat_map(|(_, entries)| entries);
        if !entries().any(|entry| is_matrix(entry, packing)) {
            return Err(invalid_model(format!(
                "{} has no matrix whose rows are whole groups of {}: nothing to quantise",
                source.display(),
                packing.group_size
            )));
        }
        let bytes_total = entries().map(|entry| entry.end - entry.begin).sum();
        Ok(Self { files, packing, dtype, bytes_total })
    }

    fn write(self, destination: &Path, progress: &mut Progress<'_>) -> Result<(), BackendError> {
        let count = self.files.len();
        let (mut bytes_done, mut bytes_written, mut parameters) = (0, 0, 0);
        let mut places = BTreeMap::new();
        for (number, (path, entries)) in self.files.iter().enumerate() {
            let name = match count {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            let what = format!("reading {}", path.display());
            // Lazy: a tensor is read when it is computed with.
            let mut arrays = Array::load_safetensors(path).doing(&what)?;
            let mut kept: HashMap<String, Array> = HashMap::new();
            for entry in entries {
                let Some(array) = arrays.remove(&entry.name) else { continue };
                parameters += array.size() as u64;
                let tensors = self.tensors(entry, array).doing(&format!("quantising `{}`", entry.name))?;
                for (name, array) in tensors {
                    bytes_written += array.nbytes() as u64;
                    kept.insert(name, array);
                }
                bytes_done += entry.end - entry.begin;
                let step = LoadProgress { file: path.clone(), bytes_done, bytes_total: self.bytes_total };
                if progress(step).is_break() {
                    return Err(broken_off());
                }
            }
            drop(arrays);
            let path = destination.join(&name);
            // By this mlx-lm knows that the weights are laid out as MLX has them.
            let metadata = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
            Array::save_safetensors(&kept, Some(&metadata), &path).doing(&format!("writing {}", path.display()))?;
            for tensor in kept.into_keys() {
                if places.insert(tensor.clone(), name.clone()).is_some() {
                    return Err(invalid_model(format!("tensor `{tensor}` is in two files")));
                }
            }
            memory::clear_cache().doing("freeing memory")?;
        }
        let index = json!({
            "metadata": { "total_size": bytes_written, "total_parameters": parameters },
            "weight_map": places,
        });
        write(&destination.join(INDEX), &pretty(&index)?)
    }

    /// What a tensor becomes, computed.
    fn tensors(&self, entry: &TensorEntry, array: Array) -> mlx_rs::error::Result<Vec<(String, Array)>> {
        let array = match self.dtype {
            Some(dtype) if is_float(entry) && array.dtype() != dtype => array.as_dtype(dtype)?,
            _ => array,
        };
        let tensors = match entry.name.strip_suffix(".weight").filter(|_| is_matrix(entry, self.packing)) {
            Some(layer) => {
                let Packing { bits, group_size } = self.packing;
                let (words, scales, biases) = ops::quantize(&array, group_size, bits)?;
                vec![
                    (entry.name.clone(), words),
                    (format!("{layer}.scales"), scales),
                    (format!("{layer}.biases"), biases),
                ]
            }
            None => vec![(entry.name.clone(), array)],
        };
        transforms::eval(tensors.iter().map(|(_, array)| array))?;
        Ok(tensors)
    }
}

/// Whether a tensor is the matrix of a linear layer or an embedding, in rows of whole groups.
fn is_matrix(entry: &TensorEntry, packing: Packing) -> bool {
    let rows_of_groups = matches!(*entry.shape, [_, columns] if columns % packing.group_size == 0);
    rows_of_groups && is_float(entry) && entry.name.ends_with(".weight")
}

fn is_float(entry: &TensorEntry) -> bool {
    matches!(entry.element, Element::Float16 | Element::Bfloat16 | Element::Float32)
}

/// The type of weights that a `config.json` names, as transformers writes it today (`dtype`) or did (`torch_dtype`).
fn dtype(written: &[u8]) -> Option<Dtype> {
    let config: Map<String, Value> = serde_json::from_slice(written).ok()?;
    let name = config.get("dtype").or_else(|| config.get("torch_dtype"))?.as_str()?;
    match name {
        "float16" => Some(Dtype::Float16),
        "bfloat16" => Some(Dtype::Bfloat16),
        "float32" => Some(Dtype::Float32),
        _ => None,
    }
}

/// A `config.json` that says how the weights are quantised, with its keys in order as mlx-lm writes them. Older
/// programs look for the second key.
fn quantized_config(written: &[u8], packing: Packing) -> Result<Vec<u8>, BackendError> {
    let mut config: BTreeMap<String, Value> = serde_json::from_slice(written)
        .map_err(|error| invalid_model(format!("config.json is not what it should be: {error}")))?;
    // The folder that whoever made the model had it in.
    config.remove("_name_or_path");
    let quantization = json!({ "group_size": packing.group_size, "bits": packing.bits, "mode": "affine" });
    config.insert("quantization".into(), quantization.clone());
    config.insert("quantization_config".into(), quantization);
    pretty(&config)
}

/// JSON indented by four, as Python's programs around models write it.
fn pretty(value: &impl Serialize) -> Result<Vec<u8>, BackendError> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    value
        .serialize(&mut serializer)
        .map_err(|error| invalid_model(format!("it cannot be written as JSON: {error}")))?;
    Ok(text)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BackendError> {
    fs::write(path, bytes).map_err(|error| invalid_input(format!("cannot write {}: {error}", path.display())))
}
