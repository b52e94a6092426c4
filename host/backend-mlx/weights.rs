//! A model's tensors, read from its safetensors files and handed out by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mlx_rs::{Array, Dtype, transforms};
use serde::Deserialize;
use wasmlx_backend::{BackendError, BackendErrorKind, LoadProgress};

use crate::config::{Packing, Quantization};
use crate::error::{Doing, broken_off, invalid_model, unsupported};
use crate::files::read_small;
use crate::packed::Packed;
use crate::safetensors::{Header, PREFIX_BYTES};

/// The file that says which tensor lies in which of several files.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// In what form weights are to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The type of what is not quantised, and of scales and biases; none is as stored.
    pub(crate) dtype: Option<Dtype>,
    /// Whether quantised matrices are unpacked.
    pub(crate) unpacked: bool,
    /// Whether the device is the CPU, which computes with memory that the host sees.
    pub(crate) on_cpu: bool,
}

/// Tensors that no layer has taken yet.
pub(crate) struct Weights {
    files: Vec<PathBuf>,
    tensors: HashMap<String, Tensor>,
    quantization: Option<Quantization>,
    pub(crate) holding: Holding,
    parameters: u64,
}

struct Tensor {
    array: Array,
    /// Index of its file.
    file: usize,
}

/// A matrix as it is to be held: of numbers, or quantised.
pub(crate) enum Matrix {
    Plain(Array),
    Packed(Packed),
}

impl Weights {
    /// Reads all weights of a folder into the device's memory, file by file.
    ///
    /// Every header is checked before the first file is read.
    pub(crate) fn read(
        folder: &Path,
        quantization: Option<Quantization>,
        holding: Holding,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Self, BackendError> {
        let files = list(folder)?;
        let mut headers = Vec::with_capacity(files.len());
        let mut sizes = Vec::with_capacity(files.len());
        for path in &files {
            let (header, bytes) = read_header(path)?;
            headers.push(header);
            sizes.push(bytes);
        }

        let bytes_total = sizes.iter().sum();
        let mut bytes_done = 0;
        let mut tensors: HashMap<String, Tensor> = HashMap::new();
        for (file, (path, header)) in files.iter().zip(headers).enumerate() {
            let mut arrays = read_arrays(path)?;
            for entry in header.tensors {
                let Some(array) = arrays.remove(&entry.name) else { continue };
                if let Some(other) = tensors.get(&entry.name) {
                    return Err(invalid_model(format!(
                        "tensor `{}` is in two files: {} and {}",
                        entry.name,
                        files[other.file].display(),
                        path.display()
                    )));
                }
                tensors.insert(entry.name, Tensor { array, file });
            }
            bytes_done += sizes[file];
            if progress(LoadProgress { file: path.clone(), bytes_done, bytes_total }).is_break() {
                return Err(broken_off());
            }
        }
        // Some exports hold the wavelengths of rotary positions, which follow from the configuration.
        tensors.retain(|name, _| !name.ends_with("rotary_emb.inv_freq"));
        Ok(Self { files, tensors, quantization, holding, parameters: 0 })
    }

    /// Bytes that all weights take as stored.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.array.nbytes() as u64).sum()
    }

    /// Bytes that all weights take in float32, unpacked.
    pub(crate) fn float32_bytes(&self) -> u64 {
        let bits = self.quantization.as_ref().map_or(32, |quantization| quantization.packing.bits as u64);
        let numbers = self.tensors.values().map(|tensor| match tensor.array.dtype() {
            Dtype::Uint32 => tensor.array.size() as u64 * 32 / bits,
            _ => tensor.array.size() as u64,
        });
        4 * numbers.sum::<u64>()
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Forgets the tensors of a layer that is not used.
    pub(crate) fn discard(&mut self, layer: &str) {
        for suffix in ["weight", "scales", "biases", "bias"] {
            self.tensors.remove(&format!("{layer}.{suffix}"));
        }
    }

    /// A vector of `size` numbers.
    pub(crate) fn vector(&mut self, name: &str, size: i32) -> Result<Array, BackendError> {
        let array = self.float(name, &[size])?;
        self.parameters += array.size() as u64;
        Ok(array)
    }

    /// The matrix of a layer, `LAYER.weight`, which maps `columns` numbers to `rows` numbers.
    pub(crate) fn matrix(&mut self, layer: &str, rows: i32, columns: i32) -> Result<Matrix, BackendError> {
        self.parameters += rows as u64 * columns as u64;
        let quantization = self.quantization.as_ref();
        let exception = quantization.and_then(|quantization| quantization.exceptions.get(layer)).copied();
        let quantised = match exception {
            None => quantization.is_some() && self.has(&format!("{layer}.scales")),
            Some(exception) => exception.is_some(),
        };
        if !quantised {
            return self.float(&format!("{layer}.weight"), &[rows, columns]).map(Matrix::Plain);
        }
        self.packed(layer, rows, columns, exception.flatten()).map(Matrix::Packed)
    }

    /// How many parameters the layers have taken, once all are built.
    ///
    /// # Errors
    /// `InvalidModel` where tensors are left, since a model that lacks a layer of its file answers nonsense.
    pub(crate) fn finish(self) -> Result<u64, BackendError> {
        let mut left: Vec<(&String, &Tensor)> = self.tensors.iter().collect();
        left.sort_by_key(|(name, _)| name.as_str());
        let Some((name, tensor)) = left.first() else { return Ok(self.parameters) };
        let more = if left.len() > 1 { format!(" and {} others have", left.len() - 1) } else { " has".to_owned() };
        Err(invalid_model(format!(
            "tensor `{name}` of {}{more} no place in this architecture with this config.json",
            self.files[tensor.file].display()
        )))
    }

    /// A quantised matrix, whose packing its shapes tell.
    fn packed(
        &mut self,
        layer: &str,
        rows: i32,
        columns: i32,
        declared: Option<Packing>,
    ) -> Result<Packed, BackendError> {
        let (name, scales_name) = (format!("{layer}.weight"), format!("{layer}.scales"));
        let weight = self.take(&name)?;
        let scales = self.float_of_any_shape(&scales_name)?;
        let refuse = |what: String| invalid_model(format!("{what} ({})", self.files[weight.file].display()));
        let (&[words_rows, words], &[scales_rows, groups]) = (weight.array.shape(), scales.shape()) else {
            return Err(refuse(format!("tensors `{name}` and `{scales_name}` are no matrices")));
        };
        let whole = words_rows == rows && scales_rows == rows && groups > 0 && columns % groups == 0;
        let (bits, group_size) = (i64::from(words) * 32 / i64::from(columns), columns / groups.max(1));
        let packing = Packing::new(bits as u64, group_size as u64);
        let Some(packing) = packing.filter(|_| whole && i64::from(words) * 32 == bits * i64::from(columns)) else {
            return Err(refuse(format!(
                "tensors `{name}` of shape [{words_rows}, {words}] and `{scales_name}` of shape [{scales_rows}, \
                 {groups}] are no quantised matrix of {rows} x {columns} numbers"
            )));
        };
        if weight.array.dtype() != Dtype::Uint32 {
            return Err(refuse(format!(
                "tensor `{name}` is of type {:?}; quantised, it must be Uint32",
                weight.array.dtype()
            )));
        }
        if declared.is_some_and(|declared| declared != packing) {
            let declared = declared.unwrap_or(packing);
            return Err(refuse(format!("tensor `{name}` is packed in {packing}, but config.json says {declared}")));
        }
        let biases = self.float(&format!("{layer}.biases"), &[rows, groups])?;
        Ok(Packed { packing, words: weight.array, scales, biases })
    }

    /// A tensor of floating-point numbers and of this shape, in the type to be held.
    fn float(&mut self, name: &str, shape: &[i32]) -> Result<Array, BackendError> {
        if let Some(tensor) = self.tensors.get(name)
            && tensor.array.shape() != shape
        {
            return Err(invalid_model(format!(
                "tensor `{name}` of {} has shape {:?}, but config.json asks for {shape:?}",
                self.files[tensor.file].display(),
                tensor.array.shape()
            )));
        }
        self.float_of_any_shape(name)
    }

    fn float_of_any_shape(&mut self, name: &str) -> Result<Array, BackendError> {
        let Tensor { array, file } = self.take(name)?;
        if !matches!(array.dtype(), Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16) {
            let path = self.files[file].display();
            let kind = array.dtype();
            return Err(if self.quantization.is_none() && self.has(&name.replace(".weight", ".scales")) {
                invalid_model(format!(
                    "tensor `{name}` of {path} is quantised ({kind:?}), but config.json has no `quantization`"
                ))
            } else {
                unsupported(format!(
                    "tensor `{name}` of {path} is of type {kind:?}; known are Float32, Float16 and Bfloat16"
                ))
            });
        }
        match self.holding.dtype {
            Some(dtype) if dtype != array.dtype() => array.as_dtype(dtype).doing(&format!("converting `{name}`")),
            _ => Ok(array),
        }
    }

    fn take(&mut self, name: &str) -> Result<Tensor, BackendError> {
        self.tensors.remove(name).ok_or_else(|| {
            let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
            invalid_model(format!("tensor `{name}` is missing from {}", files.join(", ")))
        })
    }
}

/// Reads all tensors of a file.
fn read_arrays(path: &Path) -> Result<HashMap<String, Array>, BackendError> {
    let what = format!("reading {}", path.display());
    let read = || {
        let arrays = Array::load_safetensors(path).doing(&what)?;
        transforms::eval(arrays.values()).doing(&what)?;
        Ok(arrays)
    };
    read().map_err(|error: BackendError| match error.kind() {
        BackendErrorKind::OutOfMemory => error,
        // What it does not read is a file that is not what its header says.
        _ => invalid_model(error),
    })
}

/// The weights files of a folder: those that the index names, else all of `model*.safetensors`.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, BackendError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let unreadable =
        |path: &Path, error: std::io::Error| invalid_model(format!("cannot read {}: {error}", path.display()));

    let index_path = folder.join(INDEX);
    if index_path.is_file() {
        let text = read_small(&index_path)?;
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| invalid_model(format!("{} is not what it should be: {error}", index_path.display())))?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
            return Err(invalid_model(format!("{INDEX} names the file `{name}`, which is not in the model's folder")));
        }
        if names.is_empty() {
            return Err(invalid_model(format!("{} names no file of weights", index_path.display())));
        }
        return Ok(names.into_iter().map(|name| folder.join(name)).collect());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("model") && name.ends_with(".safetensors") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(invalid_model(format!("{} holds no weights: no file named model*.safetensors", folder.display())));
    }
    files.sort();
    Ok(files)
}

/// Reads and checks a file's header; also gives the file's size in bytes.
pub(crate) fn read_header(path: &Path) -> Result<(Header, u64), BackendError> {
    let unreadable = |error: std::io::Error| invalid_model(format!("cannot read {}: {error}", path.display()));
    let refused =
        |reason: &dyn std::fmt::Display| invalid_model(format!("{} cannot be used: {reason}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes < PREFIX_BYTES {
        return Err(refused(&format!("it has {bytes} bytes, too few for a safetensors file. Fetch or copy it again")));
    }
    let mut prefix = [0; PREFIX_BYTES as usize];
    file.read_exact(&mut prefix).map_err(unreadable)?;
    let length = Header::length(prefix, bytes).map_err(|error| refused(&error))?;
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(unreadable)?;
    let header = Header::parse(&json, bytes).map_err(|error| refused(&error))?;
    Ok((header, bytes))
}
