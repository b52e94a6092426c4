//! The device: which there are, what it has done, how much memory it takes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use mlx_rs::{Array, Device, DeviceType, Dtype as MlxDtype, memory};
use wasmlx_backend::{
    Backend, BackendError, BackendErrorKind, Counters, Dtype, LoadOptions, LoadProgress, Memory, Model, ModelInfo,
};

use crate::config::ModelConfig;
use crate::error::{Doing, invalid_model};
use crate::layers::Decoder;
use crate::model::MlxModel;
use crate::weights::{Holding, Weights};

/// Which device is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU where MLX has one, else the CPU.
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
}

/// MLX on one device, for the thread that made it.
///
/// The device is MLX's default one and so a matter of the whole process: a second backend of another kind would take
/// the place of the first, and is refused.
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
    Ok(Installation { library, blas, gpu })
}

impl MlxBackend {
    /// Takes a device into use.
    ///
    /// # Errors
    /// `DeviceUnavailable` where MLX cannot be opened, or a GPU is asked for and MLX has none; `InvalidInput` where
    /// the process uses the other device already.
    pub fn new(choice: DeviceChoice) -> Result<Self, BackendError> {
        let installation = installation()?;
        let kind = match (choice, &installation.gpu) {
            (DeviceChoice::Cpu, _) | (DeviceChoice::Auto, None) => Kind::Cpu,
            (DeviceChoice::Auto | DeviceChoice::Gpu, Some(_)) => Kind::Gpu,
            (DeviceChoice::Gpu, None) => return Err(no_gpu(&installation)),
        };
        static IN_USE: OnceLock<Kind> = OnceLock::new();
        if *IN_USE.get_or_init(|| kind) != kind {
            return Err(crate::error::invalid_input("this process uses MLX on another device already"));
        }
        let name = match (kind, installation.gpu) {
            (Kind::Cpu, _) => "cpu".to_owned(),
            (Kind::Gpu, gpu) => format!("gpu ({})", gpu.unwrap_or_default()),
        };
        Device::set_default(&match kind {
            Kind::Cpu => Device::cpu(),
            Kind::Gpu => Device::gpu(),
        });
        if kind == Kind::Gpu {
            start_gpu()?;
        }
        Ok(Self { kind, name, tally: Arc::default() })
    }

    /// How weights are held, by what the caller wants and what suits the device.
    fn holding(&self, dtype: Dtype) -> Holding {
        let on_cpu = self.kind == Kind::Cpu;
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
        let json = std::fs::read(&path).map_err(|error| {
            invalid_model(format!("{} is no model: cannot read config.json: {error}", folder.display()))
        })?;
        let config = ModelConfig::parse(&json)
            .map_err(|error| BackendError::new(error.kind(), format!("{}: {error}", folder.display())))?;
        let mut latest = None;
        let mut weights =
            Weights::read(folder, config.quantization.clone(), self.holding(options.dtype), &mut |step| {
                latest = Some(step.clone());
                progress(step)
            })?;
        if options.dtype == Dtype::Auto && available_memory().is_some_and(|bytes| bytes < weights.float32_bytes()) {
            weights.holding = Holding { dtype: None, unpacked: false, ..weights.holding };
        }
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

/// Computes something on the GPU, so that a driver that does not work is an error now and not at the first token.
fn start_gpu() -> Result<(), BackendError> {
    let first = Array::from_bool(false).logical_not().and_then(|value| value.eval());
    first.map_err(|error| {
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

/// Bytes that the system could give without paging, where it says so.
fn available_memory() -> Option<u64> {
    parse_available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// The line `MemAvailable: 1234 kB` of Linux's /proc/meminfo.
fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn no_gpu(installation: &Installation) -> BackendError {
    let reason = match &installation.library {
        None => "MLX finds no Metal device on this machine".to_owned(),
        #[cfg(not(target_vendor = "apple"))]
        Some(library) => format!(
            "MLX at {} finds none. With an NVIDIA GPU, fetch MLX's CUDA build (`pip install --target DIR \
             mlx-cuda-13=={}`) and set {}=DIR",
            library.display(),
            mlx_sys::runtime::MLX_VERSION,
            mlx_sys::runtime::MLX_DIR_VARIABLE
        ),
        #[cfg(target_vendor = "apple")]
        Some(library) => format!("MLX at {} finds none", library.display()),
    };
    BackendError::new(BackendErrorKind::DeviceUnavailable, format!("a GPU was asked for: {reason}; or use the CPU"))
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

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24648656 kB\nMemFree:  1 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(parse_available(meminfo), Some(23_000_000 * 1024));
        assert_eq!(parse_available("MemTotal: 1 kB\n"), None);
    }
}
