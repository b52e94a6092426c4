//! `wasmlx doctor`: is this machine fit, and what to do where it is not.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wasmlx::Host;

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::output::Output;

pub(crate) async fn run(global: &GlobalOptions) -> Result {
    let checks = examine().await;
    let fit = checks.iter().all(|check| check.state != State::Failed);
    let mut output = Output::new();
    if global.json {
        let checks: Vec<Value> = checks.iter().map(Check::to_json).collect();
        output.json(&json!({"version": env!("CARGO_PKG_VERSION"), "fit": fit, "checks": checks}))?;
    } else {
        for check in &checks {
            output.text(&check.to_text())?;
        }
        output.line(if fit { "This machine is fit." } else { "This machine is not fit yet: see the hints above." })?;
        output.flush()?;
    }
    if fit { Ok(()) } else { Err(Failure::Reported) }
}

/// One thing that was looked at.
pub(crate) struct Check {
    name: &'static str,
    state: State,
    detail: String,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// It works without, or could be better.
    Note,
    Failed,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), hint: None }
    }

    fn note(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, state: State::Note, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn failed(name: &'static str, error: &wasmlx::Error) -> Self {
        Self { name, state: State::Failed, detail: error.to_string(), hint: error.hint().map(str::to_owned) }
    }

    pub(crate) fn to_json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Failed => "failed",
        };
        json!({"name": self.name, "state": state, "detail": self.detail, "hint": self.hint})
    }

    pub(crate) fn to_text(&self) -> String {
        let mark = match self.state {
            State::Ok => "ok    ",
            State::Note => "note  ",
            State::Failed => "FAILED",
        };
        let mut text = format!("{mark}  {}: {}\n", self.name, self.detail);
        if let Some(hint) = &self.hint {
            // Writing to a string does not fail.
            let _ = writeln!(text, "        {hint}");
        }
        text
    }
}

/// Looks at everything. Nothing that fails keeps the rest from being looked at.
pub(crate) async fn examine() -> Vec<Check> {
    let mut checks = vec![Check::ok("version", version()), Check::ok("processor", processor())];
    match Host::builder().build() {
        Ok(host) => {
            checks.push(home(&host));
            checks.push(components(&host));
            checks.push(built_in_model(&host));
            checks.push(device(&host).await);
            host.stop().await;
        }
        Err(error) => checks.push(Check::failed("home", &error)),
    }
    checks.extend(mlx());
    checks
}

fn version() -> String {
    format!(
        "wasmlx {} ({} {}{})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        if cfg!(debug_assertions) { ", debug assertions on" } else { "" }
    )
}

fn processor() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let features = processor_features().join(" ");
    format!("{threads} threads{}{features}", if features.is_empty() { "" } else { ", " })
}

/// Those that decide how fast matrices are multiplied.
fn processor_features() -> Vec<&'static str> {
    let mut features = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("fma", std::is_x86_feature_detected!("fma")),
            ("f16c", std::is_x86_feature_detected!("f16c")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
        ];
        features.extend(known.iter().filter(|(_, here)| *here).map(|(name, _)| *name));
    }
    #[cfg(target_arch = "aarch64")]
    {
        let known = [
            ("neon", std::arch::is_aarch64_feature_detected!("neon")),
            ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
            ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ];
        features.extend(known.iter().filter(|(_, here)| *here).map(|(name, _)| *name));
    }
    features
}

fn home(host: &Host) -> Check {
    let folder = host.home();
    if host.store().is_read_only() {
        return Check::ok("home", format!("{} is only read, as WASMLX_STORE_READ_ONLY says", folder.display()));
    }
    let probe = folder.join(".doctor");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, ""))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Check::ok("home", format!("{} can be written", folder.display())),
        Err(error) => Check {
            name: "home",
            state: State::Failed,
            detail: format!("{} cannot be written: {error}", folder.display()),
            hint: Some("set WASMLX_HOME to a folder of yours".to_owned()),
        },
    }
}

fn components(host: &Host) -> Check {
    match host.check_built_in_components() {
        Ok(names) => Check::ok("components", format!("{} load", names.join(", "))),
        Err(error) => Check::failed("components", &error),
    }
}

fn built_in_model(host: &Host) -> Check {
    match host.model_folder(None) {
        Ok(folder) => Check::ok("built-in model", folder.display().to_string()),
        Err(error) => Check::failed("built-in model", &error),
    }
}

async fn device(host: &Host) -> Check {
    match host.device().await {
        Ok(device) => Check::ok("device", device),
        Err(error) => Check::failed("device", &error),
    }
}

/// Which MLX and which BLAS are in use, and whether there is a GPU that is not.
#[cfg(feature = "mlx")]
fn mlx() -> Vec<Check> {
    let installation = match wasmlx::mlx_installation() {
        Ok(installation) => installation,
        Err(error) => return vec![Check::failed("MLX", &error)],
    };
    let mut checks = vec![match &installation.library {
        Some(library) => Check::ok("MLX", library.display().to_string()),
        None => Check::ok("MLX", "part of the program"),
    }];
    if !cfg!(target_vendor = "apple") {
        checks.push(match &installation.blas {
            Some(blas) => Check::ok("BLAS", blas.display().to_string()),
            None => Check::note(
                "BLAS",
                "MLX's own, about ten times slower on the CPU than OpenBLAS",
                "`cargo xtask setup` fetches OpenBLAS; a bundle has it under lib/",
            ),
        });
    }
    match &installation.gpu {
        Some(gpu) => checks.push(Check::ok("GPU", gpu.as_str())),
        None if has_nvidia_driver() => checks.push(Check::note(
            "GPU",
            "there is an NVIDIA GPU, and this MLX cannot use it",
            installation.gpu_advice.unwrap_or_default(),
        )),
        None => {}
    }
    checks
}

#[cfg(not(feature = "mlx"))]
fn mlx() -> Vec<Check> {
    vec![Check::note("MLX", "this build is without it", "build with the feature `mlx`")]
}

#[cfg(feature = "mlx")]
fn has_nvidia_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvidiactl"]
        .iter()
        .any(|path| std::path::Path::new(path).exists())
}
