//! Models that are torn, lie, or ask for what is not known: each is refused with a sentence that names the trouble.

#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not what they call

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wasmlx_backend::{Backend, BackendError, BackendErrorKind, LoadOptions};
use wasmlx_backend_mlx::{DeviceChoice, MlxBackend};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models").join(name)
}

/// A copy of a fixture that a test may spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn refused(folder: &Path) -> BackendError {
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    let loaded = backend.load(folder, &LoadOptions::default(), &mut |_| ControlFlow::Continue(()));
    loaded.map(drop).expect_err("the model must not load")
}

/// Loads a fixture whose `config.json` was changed.
fn refused_with(name: &str, change: impl FnOnce(&mut Value)) -> BackendError {
    let folder = copy(name);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    refused(folder.path())
}

/// Rewrites the header of a weights file; the data stays.
fn rewrite_header(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let mut rewritten = (header.len() as u64).to_le_bytes().to_vec();
    rewritten.extend_from_slice(header.as_bytes());
    rewritten.extend_from_slice(&bytes[8 + length..]);
    fs::write(path, rewritten).unwrap();
}

fn assert_names(error: &BackendError, kind: BackendErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn an_unknown_architecture_is_named_with_those_that_are_known() {
    let error = refused_with("llama-float32", |config| config["model_type"] = json!("mamba"));
    assert_names(&error, BackendErrorKind::Unsupported, &["`mamba`", "llama, mistral, qwen2, qwen3"]);
}

#[test]
fn a_folder_without_a_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &[&name, "config.json"]);
    fs::copy(fixture("llama-float32").join("config.json"), folder.path().join("config.json")).unwrap();
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &[&name, "model*.safetensors"]);
}

#[test]
fn a_missing_tensor_is_named_with_the_files_searched() {
    let folder = copy("llama-float32");
    let path = folder.path().join("model.safetensors");
    rewrite_header(&path, |header| {
        let entries = header.as_object_mut().unwrap();
        let moved = entries.remove("model.layers.1.mlp.up_proj.weight").unwrap();
        entries.insert("model.layers.1.mlp.upper.weight".into(), moved);
    });
    let expected = ["`model.layers.1.mlp.up_proj.weight`", "missing", "model.safetensors"];
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &expected);
}

#[test]
fn a_tensor_without_a_place_is_named() {
    // Without the biases that the file has, the model would talk nonsense.
    let error = refused_with("llama-llama3-biases", |config| config["mlp_bias"] = json!(false));
    assert_names(&error, BackendErrorKind::InvalidModel, &["`model.layers.0.mlp.down_proj.bias`", "no place"]);
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    let error = refused_with("llama-float32", |config| config["intermediate_size"] = json!(100));
    let expected = ["`model.layers.0.mlp.gate_proj.weight`", "model.safetensors", "[96, 64]", "[100, 64]"];
    assert_names(&error, BackendErrorKind::InvalidModel, &expected);
    let error = refused_with("llama-float32", |config| config["vocab_size"] = json!(640));
    assert_names(&error, BackendErrorKind::InvalidModel, &["`model.embed_tokens.weight`", "[320, 64]", "[640, 64]"]);
}

#[test]
fn a_wrong_type_is_named() {
    let folder = copy("llama-float32");
    rewrite_header(&folder.path().join("model.safetensors"), |header| {
        header["model.norm.weight"]["dtype"] = json!("I32");
    });
    let error = refused(folder.path());
    assert_names(&error, BackendErrorKind::Unsupported, &["`model.norm.weight`", "Int32", "Float32"]);
}

#[test]
fn packing_that_does_not_fit_is_named() {
    let error = refused_with("qwen3-4bit", |config| {
        config["quantization"]["model.layers.0.mlp.up_proj"] = json!({"bits": 8, "group_size": 64});
    });
    let expected = ["`model.layers.0.mlp.up_proj.weight`", "4-bit, groups of 64", "8-bit, groups of 64"];
    assert_names(&error, BackendErrorKind::InvalidModel, &expected);
    let error = refused_with("qwen3-4bit", |config| config["quantization"]["mode"] = json!("mxfp4"));
    assert_names(&error, BackendErrorKind::Unsupported, &["`mxfp4`", "affine"]);
    let error = refused_with("qwen3-4bit", |config| config["quantization"]["bits"] = json!(7));
    assert_names(&error, BackendErrorKind::Unsupported, &["7 bits", "2, 3, 4, 5, 6 and 8"]);
    let error = refused_with("qwen3-4bit", |config| {
        config.as_object_mut().unwrap().remove("quantization");
        config["quantization_config"] = json!({"quant_method": "gptq", "bits": 4});
    });
    assert_names(&error, BackendErrorKind::Unsupported, &["`gptq`", "mlx_lm convert"]);
    let error = refused_with("qwen3-4bit", |config| {
        config.as_object_mut().unwrap().retain(|key, _| !key.starts_with("quantization"));
    });
    assert_names(&error, BackendErrorKind::InvalidModel, &["model.embed_tokens.weight"]);
}

#[test]
fn hostile_numbers_in_a_config_are_refused() {
    let hostile: [(&str, Value); 15] = [
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(3)),
        ("num_key_value_heads", json!(3)),
        ("hidden_size", json!(u64::MAX)),
        ("hidden_size", json!(-64)),
        ("vocab_size", json!(1u64 << 40)),
        ("num_hidden_layers", json!(u64::MAX)),
        ("num_hidden_layers", json!(0)),
        ("head_dim", json!(0)),
        ("head_dim", json!(7)),
        ("head_dim", json!(1 << 24)),
        ("rms_norm_eps", json!(-1.0)),
        ("rope_theta", json!(0)),
        ("max_position_embeddings", json!(u64::MAX)),
        ("max_position_embeddings", json!(0)),
    ];
    for (key, value) in hostile {
        let error = refused_with("llama-float32", |config| config[key] = value.clone());
        assert_eq!(error.kind(), BackendErrorKind::InvalidModel, "{key} = {value}: {error}");
        assert!(error.to_string().contains("config.json"), "{key} = {value}: {error}");
    }
    // More layers than the file has: nothing is reserved for them before their tensors are found.
    let error = refused_with("llama-float32", |config| config["num_hidden_layers"] = json!(16_000));
    assert_names(&error, BackendErrorKind::InvalidModel, &["`model.layers.2."]);
}

#[test]
fn an_index_names_only_files_beside_it_and_they_must_be_there() {
    let folder = copy("mistral-sharded");
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &["model-00002-of-00003.safetensors"]);

    for name in ["../model.safetensors", "/etc/passwd", ".."] {
        let index = json!({"weight_map": {"a": name}}).to_string();
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &[name, "not in the model's folder"]);
    }
}

#[test]
fn a_tensor_in_two_files_is_named_with_both() {
    let folder = copy("llama-float32");
    let path = folder.path().join("model.safetensors");
    fs::copy(&path, folder.path().join("model-copy.safetensors")).unwrap();
    let expected = ["two files", "model-copy.safetensors", "model.safetensors"];
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &expected);
}

#[test]
fn a_lying_header_is_refused_before_memory_is_taken() {
    let folder = copy("llama-float32");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &["model.safetensors", "header"]);

    let folder = copy("llama-float32");
    let path = folder.path().join("model.safetensors");
    rewrite_header(&path, |header| header["model.norm.weight"]["shape"] = json!([4_000_000_000u64, 4_000_000_000u64]));
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &["`model.norm.weight`"]);
}

#[test]
fn a_file_that_mlx_refuses_is_an_invalid_model() {
    // Read as a name by our own check, and refused by MLX.
    let folder = copy("llama-float32");
    let path = folder.path().join("model.safetensors");
    rewrite_header(&path, |header| header["__metadata__"] = json!({"format": 7}));
    assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &["model.safetensors"]);
}

#[test]
fn a_description_larger_than_any_is_not_read() {
    for name in ["config.json", "model.safetensors.index.json"] {
        let folder = copy("mistral-sharded");
        fs::File::create(folder.path().join(name)).unwrap().set_len(1 << 40).unwrap();
        assert_names(&refused(folder.path()), BackendErrorKind::InvalidModel, &[name, "64 MiB"]);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Wherever a download stopped, the file is named and the sizes are told.
    #[test]
    fn a_torn_file_is_named_with_its_sizes(keep in 0.0f64..1.0) {
        let folder = copy("qwen3-4bit");
        let path = folder.path().join("model.safetensors");
        let whole = fs::metadata(&path).unwrap().len();
        let kept = (whole as f64 * keep) as u64;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(kept).unwrap();
        let error = refused(folder.path());
        let kept = format!("{kept}");
        assert_names(&error, BackendErrorKind::InvalidModel, &["model.safetensors", &kept, "again"]);
    }
}
