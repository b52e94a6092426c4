//! The components that come with the host, inside of it.

/// Their names, the default of each slot first.
pub const NAMES: [&str; 0] = [];

/// A component's bytes.
pub fn builtin(_name: &str) -> Option<&'static [u8]> {
    None
}
