//! Manifests of components, outside of a host.

use wasmlx_components::Manifest;

use super::error::Result;

/// Reads the text of a `component.toml`.
///
/// # Errors
/// [`ErrorKind::InvalidComponent`](crate::ErrorKind::InvalidComponent) says what is wrong with it, and where.
pub fn parse_manifest(text: &str) -> Result<Manifest> {
    Ok(Manifest::parse(text)?)
}

/// The manifest that the bytes of a component carry; none where they carry none.
///
/// # Errors
/// [`ErrorKind::InvalidComponent`](crate::ErrorKind::InvalidComponent), for bytes that are no component too.
pub fn read_manifest(component: &[u8]) -> Result<Option<Manifest>> {
    Ok(Manifest::read(component)?)
}

/// The component with the text of a `component.toml` in it, in place of one that it carries.
///
/// # Errors
/// [`ErrorKind::InvalidComponent`](crate::ErrorKind::InvalidComponent) for a text that is no manifest, and bytes that
/// are no component.
pub fn embed_manifest(text: &str, component: &[u8]) -> Result<Vec<u8>> {
    Ok(Manifest::embed(text, component)?)
}
