//! What the bytes of a component say of it, read without compiling or running anything.

use crate::world::World;
use crate::{ComponentError, ComponentKind, Manifest, cache};

/// What a component is. Its texts have no control characters: they can be shown as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Which slot it is for.
    pub kind: ComponentKind,
    /// The version of `wasmlx:runner` that it was built for: `0.1.0`.
    pub interface: String,
    /// The interfaces that it imports, with their versions: `wasmlx:runner/logits@0.1.0`.
    pub imports: Vec<String>,
    /// What it says of itself and asks for, where it says anything.
    pub manifest: Option<Manifest>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// Its size in bytes, before compilation.
    pub size: usize,
}

impl Description {
    /// Reads what a component says of itself; `name` is what errors call it.
    ///
    /// # Errors
    /// Those of [`Runtime::load`](crate::Runtime::load), but for what only compiling and linking find.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, ComponentError> {
        let World { kind, version: interface, imports } = World::read(name, bytes)?;
        let manifest = Manifest::of(name, kind, bytes)?;
        Ok(Self { kind, interface, imports, manifest, digest: cache::digest(bytes), size: bytes.len() })
    }
}
