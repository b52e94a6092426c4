//! The header of a weights file, as the backend reads it before MLX sees the file, and as the store counts by it.

use std::fs;

use wasmlx_store::ModelFacts;

#[cfg(not(feature = "mlx"))]
#[path = "../../../host/backend-mlx/safetensors.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a module of another crate")]
mod header;
#[cfg(feature = "mlx")]
use wasmlx_backend_mlx::safetensors as header;

use super::Home;

/// The bytes are those of a file, weights left out: what the header says follows it is there by its length alone.
pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let Some((prefix, json)) = bytes.split_first_chunk() else { return };
    for size in [bytes.len() as u64, 1 << 40] {
        let Ok(length) = header::Header::length(*prefix, size) else { continue };
        let json = &json[..json.len().min(length as usize)];
        if let Ok(header) = header::Header::parse(json, size) {
            let end = header.tensors.iter().map(|tensor| tensor.end).max().unwrap_or(0);
            assert_eq!(8 + json.len() as u64 + end, size);
        }
    }
    let file = HOME.path().join("model.safetensors");
    fs::write(&file, bytes).unwrap();
    let _ = ModelFacts::of_files([("model.safetensors", file.as_path())]);
}
