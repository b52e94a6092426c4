//! What lies on disk as JSON with the version of its form.

use serde::{Deserialize, Serialize};

/// The version of every form that the store writes.
const SCHEMA: u32 = 1;

/// As it lies on disk.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    schema: u32,
    #[serde(flatten)]
    rest: T,
}

/// Only the version: what else there is depends on it.
#[derive(Deserialize)]
struct AnyVersion {
    schema: u32,
}

/// Reads what is of a version.
///
/// # Errors
/// Why it cannot be used, as the end of a sentence.
pub(crate) fn parse_versioned<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, String> {
    let torn = |error: serde_json::Error| format!("it is torn ({error})");
    let AnyVersion { schema } = serde_json::from_slice(text).map_err(torn)?;
    if schema != SCHEMA {
        return Err(format!("it is of version {schema}, and this program knows version {SCHEMA}"));
    }
    let Versioned { rest, .. } = serde_json::from_slice(text).map_err(torn)?;
    Ok(rest)
}

/// What is read by [`parse_versioned`].
pub(crate) fn to_versioned_json<T: Serialize>(rest: &T) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(&Versioned { schema: SCHEMA, rest })?;
    text.push(b'\n');
    Ok(text)
}
