//! A `config.json`, as the backend reads it: numbers that can be true, or an error.

use wasmlx_backend_mlx::config::ModelConfig;

pub(super) fn run(bytes: &[u8]) {
    if let Ok(config) = ModelConfig::parse(bytes) {
        assert!(!config.windows.is_empty() && config.hidden_size > 0 && config.vocabulary_size > 0, "{config:?}");
    }
}
