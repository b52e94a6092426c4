//! What memory models take on this machine.

use std::path::Path;

use wasmlx_store::{Content, Holding, MemoryEstimate, ModelFacts, ModelMemory, StoredModel, weights_bytes};

use super::error::{Error, Result};
use super::host::Host;

/// What this machine has for models: how it would hold them, and in how much memory. Looks for MLX and a GPU; a build
/// without MLX is taken to hold models as GPUs do.
pub fn model_memory() -> ModelMemory {
    #[cfg(feature = "mlx")]
    {
        let has_gpu = crate::mlx_installation().is_ok_and(|installation| installation.gpu.is_some());
        let holding = if has_gpu { Holding::AS_STORED } else { Holding::FLOAT32 };
        ModelMemory { holding, bytes: wasmlx_backend_mlx::memory_for_models() }
    }
    #[cfg(not(feature = "mlx"))]
    ModelMemory { holding: Holding::AS_STORED, bytes: None }
}

/// The architectures that this build runs, as `config.json` names them; none without MLX.
pub fn architectures() -> &'static [&'static str] {
    #[cfg(feature = "mlx")]
    return &wasmlx_backend_mlx::ARCHITECTURES;
    #[cfg(not(feature = "mlx"))]
    &[]
}

impl Host {
    /// What memory a model would take on this machine, by its configuration and the size of its weights; nothing is
    /// loaded. `name` is as in [`Host::load_with`]. Of a model of the store its manifest alone is read.
    ///
    /// # Errors
    /// As [`Host::model_folder`]; `Io` where the folder cannot be read.
    pub fn estimate(&self, name: Option<&str>) -> Result<MemoryEstimate> {
        let stored = name.and_then(|name| self.model_store().show(name).ok());
        if let Some(StoredModel { content: Content::Stored(manifest), .. }) = stored {
            let files = manifest.files.iter().map(|file| (file.path.as_str(), file.size));
            return Ok(MemoryEstimate::on(&manifest.facts, weights_bytes(files), model_memory()));
        }
        let folder = self.model_folder(name)?;
        let weights = folder_weights(&folder).map_err(|error| Error::io("read", &folder, &error))?;
        Ok(MemoryEstimate::on(&ModelFacts::of_folder(&folder), weights, model_memory()))
    }
}

/// Bytes of the weights in a folder; those that links lead to count.
pub(crate) fn folder_weights(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let (Ok(name), Ok(file)) = (entry.file_name().into_string(), std::fs::metadata(entry.path())) {
            sizes.push((name, file.len()));
        }
    }
    Ok(weights_bytes(sizes.iter().map(|(path, bytes)| (path.as_str(), *bytes))))
}
