//! A component's bytes: its world, its manifest, its code. Whatever they are, the answer is a component or a typed error.

use wasmlx_components::{ComponentErrorKind, Manifest};

pub(super) fn run(bytes: &[u8]) {
    // Its kind is checked below, where loading meets the same manifest.
    let manifest = Manifest::read(bytes).is_ok();
    match super::runtime().load("fuzzed", bytes) {
        Ok(component) => {
            assert!(manifest, "a component was loaded whose manifest is wrong");
            assert_eq!(component.size(), bytes.len());
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
