//! The small files of a model's folder, read whole.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use wasmlx_backend::BackendError;

use crate::error::invalid_model;

/// No file that describes a model is larger. The largest, indexes of models in a hundred files, take some 10 MB.
const MAXIMUM_BYTES: u64 = 64 << 20;

/// Reads a file that is not one of weights.
///
/// # Errors
/// `InvalidModel` where it cannot be read, or is larger than any such file.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, BackendError> {
    let unreadable = |error: std::io::Error| invalid_model(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAXIMUM_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        let mebibytes = MAXIMUM_BYTES >> 20;
        return Err(invalid_model(format!(
            "{} is larger than {mebibytes} MiB, which none of its kind is. Fetch or copy it again",
            path.display()
        )));
    }
    Ok(bytes)
}
