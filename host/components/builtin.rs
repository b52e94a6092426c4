//! The components that come with the host, inside of it.

/// Embeds them; `build.rs` has the same list.
macro_rules! components {
    ($($name:literal),*) => {
        /// The names of the components that come with the host.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The bytes of a component that comes with the host.
        pub fn builtin(name: &str) -> Option<&'static [u8]> {
            match name {
                $($name => Some(include_bytes!(concat!(env!("WASMLX_COMPONENTS"), "/", $name, ".wasm"))),)*
                _ => None,
            }
        }
    };
}

components!("jinja", "chatml", "llama3", "default-policy", "classic", "mirostat", "chat");
