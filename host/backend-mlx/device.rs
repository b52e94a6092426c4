//! The device: which there are, what it has done, how much memory it takes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mlx_rs::{Array, Device, DeviceType, Dtype as MlxDtype, memory};
use wasmlx_backend::{
    Backend, BackendError, BackendErrorKind, Counters, Dtype, LoadOptions, LoadProgress, Memory, Model, ModelInfo,
    QuantizeRequest,
};

use crate::available_memory::available_memory;
use crate::config::ModelConfig;
use crate::error::Doing;
use crate::files::read_small;
use crate::layers::Decoder;
use crate::model::MlxModel;
use crate::quantize::quantize;
use crate::weights::{Holding, Weights};

/// Which device is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// What the process uses already; else a GPU where MLX has one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, or an error.
    Gpu,
}

/// What of MLX is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installation {
    /// MLX's library; none where it is part of the program.
    pub library: Option<PathBuf>,
    /// The BLAS that takes the place of MLX's own; none on Apple's platforms, which have Accelerate, and where MLX
    /// must do with its own.
    pub blas: Option<PathBuf>,
    /// The GPU that it can use: `NVIDIA H200`.
    pub gpu: Option<String>,
    /// What would give a GPU that it cannot use; none where nothing is known to.
    pub gpu_advice: Option<String>,
}

/// MLX on one device, for the thread that made it.
///
/// The device is MLX's default one and so a matter of the whole process: a second backend of another kind would take
/// the place of the first, and is refused. Several backends on one device work beside each other.
pub struct MlxBackend {
    kind: Kind,
    name: String,
    tally: Arc<Tally>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cpu,
    Gpu,
}

/// Counts what the device is asked to do; shared with every handle.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    forwards: AtomicU64,
    evals: AtomicU64,
    reads: AtomicU64,
}

impl Tally {
    pub(crate) fn forwards(&self) {
        self.forwards.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn evals(&self) {
        self.evals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Finds MLX and a GPU.
///
/// # Errors
/// `DeviceUnavailable` says why MLX itself cannot be used.
pub fn installation() -> Result<Installation, BackendError> {
    let (library, blas) = libraries()?;
    let gpu = has_gpu()?.then(|| gpu_name().unwrap_or_else(|| "unnamed".to_owned()));
    let gpu_advice = if gpu.is_none() { gpu_advice() } else { None };
    Ok(Installation { library, blas, gpu, gpu_advice })
}

/// Bytes of memory that models may take on the device that [`DeviceChoice::Auto`] would take: what is available to the
/// CPU, or what MLX allows itself of the GPU's. None where that cannot be told.
pub fn memory_for_models() -> Option<u64> {
    if installation().ok()?.gpu.is_none() {
        return available_memory();
    }
    let limit = memory::memory_limit().ok()? as u64;
    // On Metal that is 1.5 times what the system recommends.
    Some(if cfg!(target_vendor = "apple") { limit / 3 * 2 } else { limit })
}

impl MlxBackend {
    /// Takes a device into use.
    ///
    /// # Errors
    /// `DeviceUnavailable` where MLX cannot be opened, or a GPU is asked for and MLX has none; `InvalidInput` where
    /// the process uses the other device already.
    pub fn new(choice: DeviceChoice) -> Result<Self, BackendError> {
        static IN_USE: Mutex<Option<Kind>> = Mutex::new(None);
        let installation = installation()?;
        if choice == DeviceChoice::Gpu && installation.gpu.is_none() {
            return Err(no_gpu(&installation));
        }
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let start: Option<&dyn Fn() -> Result<(), BackendError>> = installation.gpu.as_ref().map(|_| &start_gpu as _);
        let kind = choose(choice, *in_use, start)?;
        if kind == Kind::Cpu {
            Device::set_default(&Device::cpu());
        }
        *in_use = Some(kind);
        let name = match (kind, installation.gpu) {
            (Kind::Cpu, _) => "cpu".to_owned(),
            (Kind::Gpu, gpu) => format!("gpu ({})", gpu.unwrap_or_default()),
        };
        Ok(Self { kind, name, tally: Arc::default() })
    }
}

/// Which device a new backend takes: `in_use` is the process's, and `gpu` starts the GPU where there is one.
fn choose(
    choice: DeviceChoice,
    in_use: Option<Kind>,
    gpu: Option<&dyn Fn() -> Result<(), BackendError>>,
) -> Result<Kind, BackendError> {
    match (choice, in_use, gpu) {
        (DeviceChoice::Auto, Some(kind), _) => Ok(kind),
        (DeviceChoice::Cpu, Some(Kind::Gpu), _) | (DeviceChoice::Gpu, Some(Kind::Cpu), _) => {
            Err(crate::error::invalid_input("this process uses MLX on another device already"))
        }
        (_, Some(kind), _) => Ok(kind),
        (DeviceChoice::Cpu, None, _) | (_, None, None) => Ok(Kind::Cpu),
        (DeviceChoice::Auto, None, Some(start)) => Ok(if start().is_ok() { Kind::Gpu } else { Kind::Cpu }),
        (DeviceChoice::Gpu, None, Some(start)) => start().map(|()| Kind::Gpu),
    }
}

impl Kind {
    /// How weights are held, by what the caller wants and what suits the device.
    fn holding(self, dtype: Dtype) -> Holding {
        let on_cpu = self == Self::Cpu;
        let (dtype, unpacked) = match dtype {
            Dtype::Auto if on_cpu => (Some(MlxDtype::Float32), true),
            Dtype::Float32 => (Some(MlxDtype::Float32), true),
            Dtype::Bfloat16 => (Some(MlxDtype::Bfloat16), false),
            Dtype::Float16 => (Some(MlxDtype::Float16), false),
            _ => (None, false),
        };
        Holding { dtype, unpacked, on_cpu }
    }
}

/// Bytes that a model's weights take.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// As stored, and read already.
    stored: u64,
    /// In float32, unpacked.
    float32: u64,
}

impl Holding {
    /// The same where the CPU's memory has room for it. Where nobody asked for float32 weights are held as stored
    /// instead.
    ///
    /// # Errors
    /// `OutOfMemory` where somebody did.
    fn within(self, wanted: Dtype, sizes: Sizes, available: Option<u64>) -> Result<Self, BackendError> {
        let available = available.unwrap_or(u64::MAX);
        match wanted {
            // The room that is left beside the weights is for caches.
            Dtype::Auto if self.on_cpu && available < sizes.float32 => {
                Ok(Self { dtype: None, unpacked: false, ..self })
            }
            Dtype::Float32 if self.on_cpu && available < sizes.float32.saturating_sub(sizes.stored) => {
                Err(BackendError::new(
                    BackendErrorKind::OutOfMemory,
                    format!(
                        "the weights take {} bytes in float32, {} more than as stored, and {available} are available; \
                         load them with dtype auto, bfloat16 or float16, or free memory",
                        sizes.float32,
                        sizes.float32 - sizes.stored
                    ),
                ))
            }
            _ => Ok(self),
        }
    }
}

impl Backend for MlxBackend {
    fn device(&self) -> String {
        self.name.clone()
    }

    fn load(
        &mut self,
        folder: &Path,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Box<dyn Model>, BackendError> {
        static MODELS: AtomicU64 = AtomicU64::new(0);
        let path = folder.join("config.json");
        let json = read_small(&path)?;
        let config = ModelConfig::parse(&json)
            .map_err(|error| BackendError::new(error.kind(), format!("{}: {error}", folder.display())))?;
        let mut latest = None;
        let holding = self.kind.holding(options.dtype);
        let mut weights = Weights::read(folder, config.quantization.clone(), holding, &mut |step| {
            latest = Some(step.clone());
            progress(step)
        })?;
        let sizes = Sizes { stored: weights.stored_bytes(), float32: weights.float32_bytes() };
        weights.holding = holding.within(options.dtype, sizes, available_memory())?;
        let unpacked = weights.holding.unpacked;
        let mut go_on = || latest.clone().map_or(ControlFlow::Continue(()), &mut *progress);
        let decoder = Decoder::load(&config, &mut weights, &mut go_on)?;

        let mut info = ModelInfo::new(&config.model_type, config.vocabulary_size as u32, config.context_length);
        info.dtype = format!("{:?}", decoder.dtype()).to_lowercase();
        info.quantization = config.quantization.filter(|_| !unpacked).map(|held| held.packing.to_string());
        info.parameters = weights.finish()?;
        info.weight_bytes = decoder.bytes();
        memory::clear_cache().doing("freeing memory")?;
        wire();
        let id = MODELS.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MlxModel { id, info, decoder, tally: Arc::clone(&self.tally) }))
    }

    fn quantize(
        &mut self,
        request: &QuantizeRequest,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        quantize(request, progress)
    }

    fn counters(&self) -> Counters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            forwards: read(&self.tally.forwards),
            evals: read(&self.tally.evals),
            reads: read(&self.tally.reads),
        }
    }

    fn memory(&self) -> Memory {
        let bytes = |read: mlx_rs::error::Result<usize>| read.unwrap_or_default() as u64;
        Memory { active_bytes: bytes(memory::active_memory()), peak_bytes: bytes(memory::peak_memory()) }
    }

    fn reset_peak_memory(&mut self) {
        // It only fails where MLX is not there, and then no backend is.
        let _ = memory::reset_peak_memory();
    }

    fn clear_cache(&mut self) {
        let _ = memory::clear_cache();
    }
}

impl Drop for MlxBackend {
    /// Waits for what the device still computes: MLX aborts the process that ends meanwhile.
    fn drop(&mut self) {
        // The device works in order, so that a value asked for now comes after all others.
        let _ = Array::from_bool(false).logical_not().and_then(|last| last.eval());
    }
}

/// Opens MLX.
#[cfg(not(target_vendor = "apple"))]
fn libraries() -> Result<(Option<PathBuf>, Option<PathBuf>), BackendError> {
    match mlx_sys::runtime::load() {
        Ok(loaded) => Ok((Some(loaded.mlx.clone()), loaded.blas.clone())),
        Err(error) => Err(BackendError::new(BackendErrorKind::DeviceUnavailable, error)),
    }
}

/// MLX is linked into the program.
#[cfg(target_vendor = "apple")]
fn libraries() -> Result<(Option<PathBuf>, Option<PathBuf>), BackendError> {
    Ok((None, None))
}

/// Makes the GPU the default device and computes something there, so that a driver that does not work is an error now
/// and not at the first token.
fn start_gpu() -> Result<(), BackendError> {
    Device::set_default(&Device::gpu());
    let first = Array::from_bool(false).logical_not().and_then(|value| value.eval());
    first.map_err(|error| {
        Device::set_default(&Device::cpu());
        let reason = format!("the GPU does not work: {error}. Update its driver, or compute with --device cpu");
        BackendError::new(BackendErrorKind::DeviceUnavailable, reason)
    })?;
    #[cfg(not(target_vendor = "apple"))]
    mlx_sys::runtime::guard_exit();
    Ok(())
}

/// Whether MLX has a GPU: it is its default device then, until a backend chooses.
fn has_gpu() -> Result<bool, BackendError> {
    static HAS_GPU: OnceLock<Result<bool, BackendError>> = OnceLock::new();
    let found = HAS_GPU.get_or_init(|| {
        let device = Device::try_default().and_then(|device| device.get_type());
        device.map(|device| matches!(device, DeviceType::Gpu)).doing("looking for a GPU")
    });
    found.clone()
}

/// What the system calls its GPU.
fn gpu_name() -> Option<String> {
    if cfg!(target_vendor = "apple") {
        let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "machdep.cpu.brand_string"]).output();
        return Some(String::from_utf8(output.ok()?.stdout).ok()?.trim().to_owned());
    }
    // NVIDIA's driver describes each of its devices in a file of lines such as `Model: NVIDIA H200`.
    let first = std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.next()?.ok()?.path();
    let description = std::fs::read_to_string(first.join("information")).ok()?;
    description.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
}

fn no_gpu(installation: &Installation) -> BackendError {
    let found = match &installation.library {
        None => "MLX finds no Metal device on this machine".to_owned(),
        Some(library) => format!("MLX at {} finds none", library.display()),
    };
    let advice = installation.gpu_advice.as_ref().map(|advice| format!(". With an NVIDIA GPU, {advice}"));
    let reason = format!("a GPU was asked for: {found}{}; or use the CPU", advice.unwrap_or_default());
    BackendError::new(BackendErrorKind::DeviceUnavailable, reason)
}

/// For machines with an NVIDIA GPU.
#[cfg(not(target_vendor = "apple"))]
fn gpu_advice() -> Option<String> {
    use mlx_sys::runtime::{MLX_DIR_VARIABLE, MLX_VERSION};

    Some(format!(
        "fetch MLX's CUDA build (`pip install --target DIR mlx-cuda-13=={MLX_VERSION}`) and set {MLX_DIR_VARIABLE}=DIR"
    ))
}

/// Metal is part of the system.
#[cfg(target_vendor = "apple")]
fn gpu_advice() -> Option<String> {
    None
}

/// Keeps what is loaded, and room for caches beside it, from being paged out. Metal alone knows this; where more is
/// asked than the system grants it stays as it was.
fn wire() {
    if cfg!(target_vendor = "apple")
        && let Ok(active) = memory::active_memory()
    {
        let _ = memory::set_wired_limit(active / 4 * 5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKED: Sizes = Sizes { stored: 100, float32: 700 };

    /// How weights are held on a CPU.
    fn on_cpu(dtype: Dtype, available: Option<u64>) -> Result<Holding, BackendErrorKind> {
        Kind::Cpu.holding(dtype).within(dtype, PACKED, available).map_err(|error| error.kind())
    }

    #[test]
    fn float32_is_held_where_there_is_room_and_refused_where_it_was_asked_for() {
        let float32 = Holding { dtype: Some(MlxDtype::Float32), unpacked: true, on_cpu: true };
        let as_stored = Holding { dtype: None, unpacked: false, on_cpu: true };
        assert_eq!(on_cpu(Dtype::Auto, Some(700)), Ok(float32));
        assert_eq!(on_cpu(Dtype::Auto, None), Ok(float32));
        assert_eq!(on_cpu(Dtype::Auto, Some(699)), Ok(as_stored));
        // What is stored is in memory already, and freed as it is converted.
        assert_eq!(on_cpu(Dtype::Float32, Some(600)), Ok(float32));
        assert_eq!(on_cpu(Dtype::Float32, Some(599)), Err(BackendErrorKind::OutOfMemory));
        assert!(on_cpu(Dtype::Bfloat16, Some(0)).is_ok());
        // A GPU's memory is not the system's.
        let on_gpu = Kind::Gpu.holding(Dtype::Float32);
        assert!(on_gpu.within(Dtype::Float32, PACKED, Some(0)).is_ok());
    }

    #[test]
    fn a_gpu_that_does_not_start_leaves_the_cpu_to_those_who_did_not_ask_for_it() {
        use DeviceChoice::{Auto, Cpu, Gpu};
        let starts = || Ok(());
        let fails = || Err(BackendError::new(BackendErrorKind::DeviceUnavailable, "its driver is old"));
        let kind = |choice, in_use, gpu: Option<&dyn Fn() -> Result<(), BackendError>>| {
            choose(choice, in_use, gpu).map_err(|error| error.kind())
        };
        assert_eq!(kind(Auto, None, Some(&starts)), Ok(Kind::Gpu));
        assert_eq!(kind(Auto, None, Some(&fails)), Ok(Kind::Cpu));
        assert_eq!(kind(Auto, None, None), Ok(Kind::Cpu));
        assert_eq!(kind(Gpu, None, Some(&starts)), Ok(Kind::Gpu));
        assert_eq!(kind(Gpu, None, Some(&fails)), Err(BackendErrorKind::DeviceUnavailable));
        // What is in use is not started again, and whoever has no wish takes it.
        assert_eq!(kind(Auto, Some(Kind::Cpu), Some(&starts)), Ok(Kind::Cpu));
        assert_eq!(kind(Auto, Some(Kind::Gpu), Some(&fails)), Ok(Kind::Gpu));
        assert_eq!(kind(Gpu, Some(Kind::Gpu), Some(&fails)), Ok(Kind::Gpu));
        assert_eq!(kind(Gpu, Some(Kind::Cpu), Some(&starts)), Err(BackendErrorKind::InvalidInput));
        assert_eq!(kind(Cpu, Some(Kind::Gpu), Some(&starts)), Err(BackendErrorKind::InvalidInput));
    }
}
