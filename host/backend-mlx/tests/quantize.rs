//! Models whose matrices are quantised: the tensors that mlx-lm makes of them, to the bit.
//!
//! `tests/fixtures/models/generate.py` made the answers.

#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not what they call

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasmlx_backend::{Backend, BackendError, BackendErrorKind, Dtype, LoadOptions, QuantizeRequest};
use wasmlx_backend_mlx::{DeviceChoice, MlxBackend};

#[derive(Deserialize)]
struct Expected {
    bits: u32,
    group_size: u32,
    /// Type, shape and SHA-256 of each tensor's bytes, by its name.
    tensors: BTreeMap<String, String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models")
}

fn quantize(source: &Path, bits: u32, group_size: u32) -> Result<tempfile::TempDir, BackendError> {
    let folder = tempfile::tempdir().unwrap();
    let request =
        QuantizeRequest { source: source.to_owned(), destination: folder.path().to_owned(), bits, group_size };
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    backend.quantize(&request, &mut |_| ControlFlow::Continue(()))?;
    Ok(folder)
}

/// All tensors of a folder, as [`Expected::tensors`] has them.
fn tensors(folder: &Path) -> BTreeMap<String, String> {
    let mut tensors = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let bytes = fs::read(path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let offset = |end: usize| 8 + length + entry["data_offsets"][end].as_u64().unwrap() as usize;
            let digest: String =
                Sha256::digest(&bytes[offset(0)..offset(1)]).iter().map(|byte| format!("{byte:02x}")).collect();
            let shape: Vec<u64> = serde_json::from_value(entry["shape"].clone()).unwrap();
            tensors.insert(name, format!("{} {shape:?} {digest}", entry["dtype"].as_str().unwrap()));
        }
    }
    tensors
}

#[test]
fn tensors_are_mlx_lm_s_to_the_bit() {
    let cases: BTreeMap<String, Expected> =
        serde_json::from_slice(&fs::read(fixtures().join("quantized.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 3);
    for (name, expected) in cases {
        let folder = quantize(&fixtures().join(&name), expected.bits, expected.group_size).unwrap();
        assert_eq!(tensors(folder.path()), expected.tensors, "{name}");

        let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
        let options = LoadOptions { dtype: Dtype::Bfloat16 };
        let model = backend.load(folder.path(), &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let packing = format!("{}-bit, groups of {}", expected.bits, expected.group_size);
        assert_eq!(model.info().quantization, Some(packing), "{name}");

        let index = fs::read(folder.path().join("model.safetensors.index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["metadata"]["total_parameters"], model.info().parameters, "{name}");
        assert_eq!(index["weight_map"].as_object().unwrap().len(), expected.tensors.len(), "{name}");
    }
}

#[test]
fn what_cannot_be_quantised_is_said() {
    let refused = |name: &str, bits, group_size| {
        let error = quantize(&fixtures().join(name), bits, group_size).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidInput, "{error}");
        error.to_string()
    };
    assert!(refused("qwen3-4bit", 4, 64).contains("quantised already (4-bit, groups of 64)"));
    assert!(refused("llama-float32", 7, 64).contains("2, 3, 4, 5, 6 and 8 bits"));
    assert!(refused("llama-float32", 4, 48).contains("groups of 32, 64 and 128"));
    // Rows of 64 and 96 numbers.
    let error = quantize(&fixtures().join("llama-float32"), 4, 128).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidModel, "{error}");
    assert!(error.to_string().contains("nothing to quantise"), "{error}");
}

#[test]
fn it_may_be_broken_off_between_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let request = QuantizeRequest {
        source: fixtures().join("mistral-sharded"),
        destination: folder.path().to_owned(),
        bits: 4,
        group_size: 64,
    };
    let mut steps = Vec::new();
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    let error = backend
        .quantize(&request, &mut |step| {
            steps.push((step.bytes_done, step.bytes_total));
            if steps.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Cancelled);
    assert_eq!(steps.len(), 3);
    assert!(steps.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 == pair[1].1), "{steps:?}");
}
