//! A component's bytes: its world, its manifest, its code. Whatever they are, the answer is a component or a typed error.

use wasmlx_components::{ComponentErrorKind, Manifest, builtin};

use super::Bytes;

/// A component of each kind that is shipped.
const SHIPPED: [&str; 3] = ["default-policy", "chatml", "chat"];

/// How many bytes of a shipped component are changed, at its beginning and at its end: code lies between.
const REACH: usize = 1 << 12;

/// The first byte says what the others are: a whole component, or a place in a shipped one (two bytes) and what stands
/// there instead.
pub(super) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let component = match usize::from(bytes.next()) {
        0 => bytes.0.to_vec(),
        shipped => {
            let mut component = builtin(SHIPPED[shipped % SHIPPED.len()]).unwrap().to_vec();
            let place = usize::from(u16::from_le_bytes([bytes.next(), bytes.next()])) % (2 * REACH);
            let start = if place < REACH { place } else { component.len() - 2 * REACH + place };
            for (old, new) in component[start..].iter_mut().zip(bytes.0) {
                *old = *new;
            }
            component
        }
    };
    // Its kind is checked below, where loading meets the same manifest.
    let manifest = Manifest::read(&component).is_ok();
    match super::runtime().load("fuzzed", &component) {
        Ok(loaded) => {
            assert!(manifest, "a component was loaded whose manifest is wrong");
            assert_eq!(loaded.size(), component.len());
        }
        Err(error) => {
            use ComponentErrorKind as Kind;
            let refusals = [
                Kind::NotAComponent,
                Kind::UnsupportedVersion,
                Kind::MissingExport,
                Kind::ImportDenied,
                Kind::InvalidManifest,
            ];
            assert!(refusals.contains(&error.kind()), "{:?}: {error}", error.kind());
            assert!(!error.message().contains('\u{1b}'));
        }
    }
}
