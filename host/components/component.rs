//! A loaded component: compiled, checked against its world, ready to be instantiated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component as Code, Linker};

use crate::runtime::Runtime;
use crate::world::World;
use crate::{ComponentError, ComponentErrorKind, ComponentKind, Manifest, limits, v0_1};

/// A component that can be instantiated. Clones share the compiled code.
#[derive(Clone)]
pub struct Component(Arc<Parts>);

struct Parts {
    runtime: Runtime,
    name: String,
    loaded: Loaded,
    version: String,
    kind: ComponentKind,
    manifest: Option<Manifest>,
    linked: Linked,
}

/// What its bytes are, and what became of them.
pub(crate) struct Loaded {
    /// SHA-256, in hexadecimal.
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: usize,
    /// How long it took to compile, where that was done now and with all processors.
    pub(crate) compile_time: Option<Duration>,
}

/// The code with its imports resolved and its exports found, as its world has them.
pub(crate) enum Linked {
    Template(v0_1::template::Linked),
    Policy(v0_1::policy::Linked),
    Chat(v0_1::chat::Linked),
    #[cfg(feature = "agents")]
    Agent(v0_1::agent::Linked),
}

impl Component {
    /// Links compiled code.
    pub(crate) fn new(
        runtime: Runtime,
        name: &str,
        world: World,
        manifest: Option<Manifest>,
        loaded: Loaded,
        code: &Code,
    ) -> Result<Self, ComponentError> {
        let kind = world.kind;
        limits::check_parts(code).map_err(|error| error.of(name))?;
        let link = || {
            let engine = code.engine();
            Ok(match kind {
                ComponentKind::Template => Linked::Template(v0_1::template::link(Linker::new(engine), code)?),
                ComponentKind::Policy => Linked::Policy(v0_1::policy::link(Linker::new(engine), code)?),
                ComponentKind::Chat => Linked::Chat(v0_1::chat::link(Linker::new(engine), code)?),
                #[cfg(feature = "agents")]
                ComponentKind::Agent => Linked::Agent(v0_1::agent::link(Linker::new(engine), code)?),
                #[cfg(not(feature = "agents"))]
                ComponentKind::Agent => {
                    return Err(wasmtime::Error::msg("this build runs no agents: it was made without that feature"));
                }
            })
        };
        let linked = link().map_err(|error: wasmtime::Error| {
            if world.is_newer() {
                let message = world.too_new(&format!("{error:#}"));
                return ComponentError::new(ComponentErrorKind::UnsupportedVersion, name, message);
            }
            let message = format!("it does not have what the world of {} has: {error:#}", kind.with_article());
            ComponentError::new(ComponentErrorKind::MissingExport, name, message)
        })?;
        let World { version, .. } = world;
        Ok(Self(Arc::new(Parts { runtime, name: name.to_owned(), loaded, version, kind, manifest, linked })))
    }

    /// What it is called: by who loaded it, and in errors.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.0.loaded.digest
    }

    /// The beginning of the digest: enough to tell components apart in a log.
    pub(crate) fn short_digest(&self) -> &str {
        self.0.loaded.digest.get(..12).unwrap_or_default()
    }

    /// Which slot it is for.
    pub fn kind(&self) -> ComponentKind {
        self.0.kind
    }

    /// The version of the interfaces that it was built for: `0.1.0`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// What it says of itself and asks for, where it says anything.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.0.manifest.as_ref()
    }

    /// Its size in bytes, before compilation.
    pub fn size(&self) -> usize {
        self.0.loaded.size
    }

    /// How long it took to compile, on all processors; none where it was compiled before, or out of the way.
    pub fn compile_time(&self) -> Option<Duration> {
        self.0.loaded.compile_time
    }

    /// The runtime it was loaded by.
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    pub(crate) fn linked(&self) -> &Linked {
        &self.0.linked
    }

    /// That it is of another kind than `wanted`.
    pub(crate) fn wrong_kind(&self, wanted: ComponentKind) -> ComponentError {
        let message = format!("it is {}; {} is needed here", self.kind().with_article(), wanted.with_article());
        ComponentError::new(ComponentErrorKind::WrongKind, self.name(), message)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.name())
            .field("kind", &self.kind())
            .field("version", &self.version())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}
