//! The components that come with the host, inside of it. `build.rs` says which and finds them.

/// Each by its name.
const COMPONENTS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The names of the components that come with the host.
pub const BUILTIN_NAMES: [&str; COMPONENTS.len()] = {
    let mut names = [""; COMPONENTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = COMPONENTS[index].0;
        index += 1;
    }
    names
};

/// The bytes of a component that comes with the host.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
