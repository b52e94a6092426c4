//! What runs components: two `wasmtime::Engine`s, a clock for deadlines, a cache of compiled code.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wasmtime::component::Component as Code;
use wasmtime::{InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use crate::cache::{self, Cache};
use crate::compiler::{self, CompilerCommand};
use crate::component::Loaded;
use crate::gauge::Gauge;
use crate::guest_log::{Entry, LogWriter};
use crate::limits::{
    COMPONENT_BYTES, MEMORIES_PER_COMPONENT, MemoryMeter, PARTS_PER_COMPONENT, Places, TABLE_ELEMENTS,
    TABLES_PER_COMPONENT,
};
use crate::ticker::{Activity, Ticker};
use crate::world::World;
use crate::{BUILTIN_NAMES, Component, ComponentError, ComponentErrorKind, ComponentKind, Limits, Manifest, builtin};

/// The version of wasmtime that compiles and runs components.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// How a [`Runtime`] is set up.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// The folder for compiled components; none compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// Whether nothing may be written there.
    pub is_cache_read_only: bool,
    /// What components may use.
    pub limits: Limits,
    /// What compiles components out of the way of what runs; none is a thread of this process.
    pub compiler: Option<CompilerCommand>,
    /// What notes the fuel and memory of every call. It makes calls slower, and what is compiled for it is not cached.
    pub gauge: Option<Arc<Gauge>>,
}

/// Loads components and gives them what they run on. Clones are the same runtime.
///
/// Templates and sampling policies are called synchronously on one `wasmtime::Engine`, chats asynchronously on
/// another, so that no number of chats takes the places of policies. Both are made when the first component needs them.
#[derive(Clone)]
pub struct Runtime(Arc<Parts>);

struct Parts {
    limits: Limits,
    cache: Option<Cache>,
    compiler: Option<CompilerCommand>,
    gauge: Option<Arc<Gauge>>,
    ticker: Ticker,
    log_writer: LogWriter,
    synchronous_places: Places,
    asynchronous_places: Places,
    synchronous: OnceLock<Result<wasmtime::Engine, ComponentError>>,
    asynchronous: OnceLock<Result<wasmtime::Engine, ComponentError>>,
}

impl Runtime {
    /// A runtime with nothing loaded.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Unavailable`] where its clock's thread cannot be started.
    pub fn new(options: RuntimeOptions) -> Result<Self, ComponentError> {
        let ticker = Ticker::start().map_err(|error| {
            let message = format!("cannot start the thread that counts the deadlines of components: {error}");
            ComponentError::new(ComponentErrorKind::Unavailable, "", message)
        })?;
        let cache = if options.is_cache_read_only { Cache::read_only } else { Cache::new };
        Ok(Self(Arc::new(Parts {
            synchronous_places: Places::new(options.limits.instances),
            asynchronous_places: Places::new(options.limits.instances),
            limits: options.limits,
            cache: options.cache_dir.filter(|_| options.gauge.is_none()).map(cache),
            compiler: options.compiler,
            gauge: options.gauge,
            ticker,
            log_writer: LogWriter::default(),
            synchronous: OnceLock::new(),
            asynchronous: OnceLock::new(),
        })))
    }

    /// Makes a component of its bytes, from the cache or by compiling it, which takes a second or two for a megabyte.
    /// Blocks meanwhile. `name` is what errors call it.
    ///
    /// # Errors
    /// [`ComponentErrorKind::NotAComponent`], [`MissingExport`](ComponentErrorKind::MissingExport),
    /// [`UnsupportedVersion`](ComponentErrorKind::UnsupportedVersion),
    /// [`ImportDenied`](ComponentErrorKind::ImportDenied) and
    /// [`InvalidManifest`](ComponentErrorKind::InvalidManifest) for what cannot run here,
    /// [`Unavailable`](ComponentErrorKind::Unavailable) where nothing can.
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<Component, ComponentError> {
        self.load_by(name, bytes, |engine, digest| self.compile(name, engine, digest, bytes))
    }

    /// The same out of the way of what runs: what must be compiled is compiled with the lowest priority and on one
    /// processor, by the command that the runtime was given, else on a thread of its own.
    ///
    /// # Errors
    /// As [`Runtime::load`]; [`CompilerFailed`](ComponentErrorKind::CompilerFailed).
    pub fn load_aside(&self, name: &str, bytes: &[u8]) -> Result<Component, ComponentError> {
        self.load_by(name, bytes, |engine, digest| {
            let artefact = compiler::compile_aside(self.0.compiler.as_ref(), name, bytes)?;
            let code = cache::deserialize(engine, &artefact).map_err(|error| {
                let message = format!("what it was compiled to does not fit this host: {error:#}");
                ComponentError::new(ComponentErrorKind::CompilerFailed, name, message)
            })?;
            self.keep(digest, &code);
            Ok((code, None))
        })
    }

    /// `compile` says how long it took, where that tells something of the component.
    fn load_by(
        &self,
        name: &str,
        bytes: &[u8],
        compile: impl FnOnce(&wasmtime::Engine, &str) -> Result<(Code, Option<Duration>), ComponentError>,
    ) -> Result<Component, ComponentError> {
        let world = World::read(name, bytes)?;
        let manifest = Manifest::of(name, world.kind, bytes)?;
        let engine = self.engine(world.kind)?;
        let digest = cache::digest(bytes);
        let (code, compile_time) = match self.cached(engine, &digest) {
            Some(code) => (code, None),
            None => compile(engine, &digest)?,
        };
        let loaded = Loaded { digest, size: bytes.len(), compile_time };
        Component::new(self.clone(), name, world, manifest, loaded, &code)
    }

    /// Makes a component of a `.wasm` file, named by the file's stem; see [`Runtime::load`].
    pub fn load_file(&self, path: &Path) -> Result<Component, ComponentError> {
        let (name, bytes) = read_file(path)?;
        self.load(&name, &bytes)
    }

    /// Makes a component of a `.wasm` file out of the way of what runs; see [`Runtime::load_aside`].
    pub fn load_file_aside(&self, path: &Path) -> Result<Component, ComponentError> {
        let (name, bytes) = read_file(path)?;
        self.load_aside(&name, &bytes)
    }

    /// One of the components that come with the host; see [`Runtime::load`].
    ///
    /// # Errors
    /// [`ComponentErrorKind::NotFound`] tells which there are.
    pub fn builtin(&self, name: &str) -> Result<Component, ComponentError> {
        let bytes = builtin(name).ok_or_else(|| {
            let message = format!("there is no built-in component `{name}`: {}", BUILTIN_NAMES.join(", "));
            ComponentError::new(ComponentErrorKind::NotFound, "", message)
        })?;
        self.load(name, bytes)
    }

    /// What its components may use.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Lets deadlines count while it lives.
    pub(crate) fn activity(&self) -> Activity {
        self.0.ticker.activity()
    }

    /// What counts the memory of a new instance of a component of a kind, which takes a place among all instances.
    pub(crate) fn meter(&self, kind: ComponentKind) -> Result<MemoryMeter, ComponentError> {
        let places = match kind {
            ComponentKind::Template | ComponentKind::Policy => &self.0.synchronous_places,
            ComponentKind::Chat | ComponentKind::Agent => &self.0.asynchronous_places,
        };
        MemoryMeter::new(self.0.limits.memory(kind), places)
    }

    /// Makes a new store ready for its first call.
    pub(crate) fn prepare<T>(&self, store: &mut Store<T>) {
        if self.0.gauge.is_some() {
            Gauge::fill(store);
        }
    }

    /// Takes note of a call that is over, where this runtime counts.
    pub(crate) fn count<T>(
        &self,
        function: &'static str,
        store: &mut Store<T>,
        meter: impl FnOnce(&T) -> &MemoryMeter,
    ) {
        if let Some(gauge) = &self.0.gauge {
            let memory = meter(store.data()).used();
            gauge.count(function, store, memory);
        }
    }

    /// What takes the lines that guests log.
    pub(crate) fn log_writer(&self) -> SyncSender<Entry> {
        self.0.log_writer.sender()
    }

    /// The `wasmtime::Engine` that components of a kind run on.
    pub(crate) fn engine(&self, kind: ComponentKind) -> Result<&wasmtime::Engine, ComponentError> {
        let place = match kind {
            ComponentKind::Template | ComponentKind::Policy => &self.0.synchronous,
            ComponentKind::Chat | ComponentKind::Agent => &self.0.asynchronous,
        };
        let engine = place.get_or_init(|| {
            let engine = if self.0.gauge.is_some() { Gauge::engine()? } else { new_engine(&self.0.limits)? };
            self.0.ticker.tick(&engine);
            Ok(engine)
        });
        engine.as_ref().map_err(Clone::clone)
    }

    /// What the cache has. A file that is not to be trusted is reported and compiled anew.
    fn cached(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Code> {
        self.0.cache.as_ref()?.load(engine, digest).unwrap_or_else(|error| {
            tracing::warn!("{error}; the component is compiled anew");
            None
        })
    }

    fn compile(
        &self,
        name: &str,
        engine: &wasmtime::Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(Code, Option<Duration>), ComponentError> {
        let began = Instant::now();
        let code = Code::new(engine, bytes).map_err(|error| {
            let message = format!("it is no valid component: {error:#}");
            ComponentError::new(ComponentErrorKind::NotAComponent, name, message)
        })?;
        let time = began.elapsed();
        self.keep(digest, &code);
        Ok((code, Some(time)))
    }

    /// Keeps what was compiled for the next start.
    fn keep(&self, digest: &str, code: &Code) {
        if let Some(cache) = &self.0.cache
            && let Err(error) = cache.save(digest, code)
        {
            tracing::warn!("{error}; the component will be compiled again at the next start");
        }
    }
}

/// The bytes of a file that is no larger than a component can be, whatever it says of its size.
fn read_component(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COMPONENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > COMPONENT_BYTES {
        let message = format!("it is larger than {} MiB, which no component is", COMPONENT_BYTES >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The name (the file's stem) and the bytes of a component's file.
///
/// # Errors
/// [`ComponentErrorKind::NotFound`], [`ComponentErrorKind::Io`].
pub fn read_file(path: &Path) -> Result<(String, Vec<u8>), ComponentError> {
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    let bytes = read_component(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ComponentErrorKind::NotFound,
            _ => ComponentErrorKind::Io,
        };
        ComponentError::new(kind, "", format!("cannot read the component {}: {error}", path.display()))
    })?;
    Ok((name.into_owned(), bytes))
}

/// The settings that compiled code depends on.
pub(crate) fn base_config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    // Without it a call costs a half to a third. It is needed for WIT's own `async`, which no world here has; calling
    // asynchronously from the host works without.
    config.concurrency_support(false);
    config
}

/// A `wasmtime::Engine` with the settings that both share.
///
/// Instances come from a pool whose memories are mapped copy-on-write from the compiled component, which takes a third
/// of the time of allocating them. A slot's pages are given back to the system when its instance ends, and mapped
/// anew for the next, so no instance sees what another wrote. (Keeping some resident means clearing them by hand: six
/// times slower.) Where the address space is too small for a pool, instances are allocated one by one.
fn new_engine(limits: &Limits) -> Result<wasmtime::Engine, ComponentError> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(PARTS_PER_COMPONENT))
        .total_memories(limits.instances.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(limits.instances.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(limits.instances)
        .max_core_instances_per_component(PARTS_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_memories_per_module(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.largest_memory())
        .linear_memory_keep_resident(0);
    let mut config = base_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime::Engine::new(&config)
        .or_else(|error| {
            tracing::warn!("no pool of instances: {error:#}; each is allocated by itself");
            wasmtime::Engine::new(config.allocation_strategy(InstanceAllocationStrategy::OnDemand))
        })
        .map_err(|error| {
            let message = format!("WebAssembly cannot run on this machine: {error:#}");
            ComponentError::new(ComponentErrorKind::Unavailable, "", message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_wasmtime_is_the_one_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n")));
    }
}
