//! Cost cards: what a component takes, measured with no model.

mod measure;
mod recorder;
mod work;

use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmlx_components::{Component, WASMTIME_VERSION};

use super::blocking;
use super::cases;
use super::components::ComponentRef;
use super::error::Result;
use super::host::Host;

/// The version of a card's form.
const SCHEMA: u32 = 1;

/// What a component takes. Times belong to the machine and the versions that they were measured with; what is counted
/// (fuel, calls of the host, bytes, memory) is the component's own, and the same everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CostCard {
    schema: u32,
    /// SHA-256 of the component's bytes, in hexadecimal.
    pub digest: String,
    /// What the times were measured with.
    pub machine: Machine,
    /// Nanoseconds to compile it, on all processors.
    #[serde(rename = "compile_ns")]
    pub compile: u64,
    /// Nanoseconds to load it where it was compiled before: its bytes and the artefact are checked, mapped and linked.
    #[serde(rename = "load_ns")]
    pub load: Spread,
    /// Bytes of linear memory and tables that an instance came to have; none where it was not run.
    #[serde(rename = "memory_bytes")]
    pub memory: Option<u64>,
    /// Its calls.
    pub calls: Vec<CallCost>,
    /// What it was made to do: a case of its own, or a standard one. Costs of the same work can be compared.
    pub work: Option<Value>,
}

/// What a call into a component takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallCost {
    /// What is called: `policy.step`, `render`; `instantiation` where an instance is made, `turn` for the calls of a
    /// chat's turn together.
    pub name: String,
    /// Nanoseconds, those of the host's functions that it calls included.
    #[serde(rename = "time_ns")]
    pub time: Spread,
    /// About one for each instruction of WebAssembly.
    pub fuel: u64,
    /// Calls of the host, on average.
    pub host_calls: f64,
    /// Bytes of lists and texts that are copied across the boundary.
    pub bytes: Option<u64>,
}

/// How much something varies: half of the samples lie between the quartiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spread {
    /// The lower quartile.
    pub lower: u64,
    /// The median.
    pub median: u64,
    /// The upper quartile.
    pub upper: u64,
}

/// What times depend on, besides the component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// The system: `linux x86_64`.
    pub system: String,
    /// This library's version, with how it was built: `0.1.0 (dev)`.
    pub wasmlx: String,
    /// The version of wasmtime.
    pub wasmtime: String,
}

/// What of a component's cost is another than that of the one before.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct CostComparison {
    /// What is dearer or cheaper.
    pub changes: Vec<CostChange>,
    /// Why some of it cannot be compared.
    pub incomparable: Option<&'static str>,
}

/// Something that takes more or less than before.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CostChange {
    /// Of which call; none of the component as a whole.
    pub call: Option<String>,
    /// What: `time`, `fuel`, `host calls`, `bytes`, `memory`, `compile time`, `load time`. Times are in nanoseconds.
    pub what: &'static str,
    /// Before.
    pub before: f64,
    /// Now.
    pub after: f64,
}

impl CostCard {
    /// What is dearer or cheaper than on the card of another component. Times are compared where both were measured
    /// with the same machine and versions, and differ where one is twice the other at least and neither's quartiles
    /// reach the other's, and only of calls that do something else than before: what the machine did besides changes the
    /// times of the very same code. Calls are compared where both did the same work.
    pub fn compare(&self, before: &Self) -> CostComparison {
        let mut comparison = CostComparison::default();
        let same_machine = self.machine == before.machine;
        let mut change = |call: Option<&str>, what, before: f64, after: f64| {
            if before != after {
                comparison.changes.push(CostChange { call: call.map(str::to_owned), what, before, after });
            }
        };
        if same_machine && before.load.is_another(self.load) {
            change(None, "load time", before.load.median as f64, self.load.median as f64);
        }
        if self.work == before.work {
            if let (Some(before), Some(after)) = (before.memory, self.memory) {
                change(None, "memory", before as f64, after as f64);
            }
            for (after, before) in self.calls.iter().filter_map(|call| Some((call, before.call(&call.name)?))) {
                let name = Some(after.name.as_str());
                let is_same =
                    (before.fuel, before.bytes) == (after.fuel, after.bytes) && before.host_calls == after.host_calls;
                if same_machine && !is_same && before.time.is_another(after.time) {
                    change(name, "time", before.time.median as f64, after.time.median as f64);
                }
                change(name, "fuel", before.fuel as f64, after.fuel as f64);
                change(name, "host calls", before.host_calls, after.host_calls);
                if let (Some(before), Some(after)) = (before.bytes, after.bytes) {
                    change(name, "bytes", before as f64, after as f64);
                }
            }
        }
        comparison.incomparable = match (self.work == before.work, same_machine) {
            (true, true) => None,
            (false, _) => {
                Some("the calls, since the two were measured by other work: the first of their cases differs")
            }
            (true, false) => Some("times, since the two were measured on other machines or by other versions"),
        };
        comparison
    }

    /// What a call takes.
    pub fn call(&self, name: &str) -> Option<&CallCost> {
        self.calls.iter().find(|call| call.name == name)
    }

    /// A card that was kept; none of a form that this version does not know, or whose texts are not fit to be shown.
    pub(crate) fn read(kept: &Value) -> Option<Self> {
        let card: Self = serde_json::from_value(kept.clone()).ok()?;
        let Machine { processor, system, wasmlx, wasmtime } = &card.machine;
        let names = card.calls.iter().map(|call| &call.name);
        let is_plain = |text: &String| !text.chars().any(char::is_control);
        let is_plain = [processor, system, wasmlx, wasmtime].into_iter().chain(names).all(is_plain);
        (card.schema == SCHEMA && is_plain).then_some(card)
    }
}

impl Spread {
    fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |quarter: usize| samples.get((samples.len().saturating_sub(1)) * quarter / 4).copied().unwrap_or(0);
        Self { lower: at(1), median: at(2), upper: at(3) }
    }

    /// Whether one is twice the other at least, and the quartiles of neither reach the other's.
    fn is_another(self, other: Self) -> bool {
        let (less, more) = if self.median < other.median { (self, other) } else { (other, self) };
        less.upper < more.lower && less.median.saturating_mul(2) <= more.median
    }
}

impl Machine {
    /// The one that this is.
    fn this() -> Self {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        Self {
            processor: processor().unwrap_or_else(|| "unknown processor".to_owned()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            wasmlx: format!("{} ({profile})", env!("CARGO_PKG_VERSION")),
            wasmtime: WASMTIME_VERSION.to_owned(),
        }
    }
}

/// The processor's model, as the system tells it.
fn processor() -> Option<String> {
    let model = if cfg!(target_os = "macos") {
        let told = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(told.stdout).ok()?
    } else {
        let told = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = told.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':')?.1.to_owned()
    };
    let model = model.trim().to_owned();
    (!model.is_empty() && !model.chars().any(char::is_control)).then_some(model)
}

impl Host {
    /// Measures what a component takes, with no model: by the first of its cases in a folder that can be measured by,
    /// else by what was kept with it or a standard one. An installed component's card is renewed.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; `InvalidInput` for a component that refuses the work.
    pub async fn measure_component(
        &self,
        component: impl Into<ComponentRef>,
        cases: Option<PathBuf>,
    ) -> Result<CostCard> {
        let (this, component) = (self.clone(), component.into());
        let measure = move || {
            let (name, bytes) = this.components().find(&component)?;
            let cases = cases.map(|folder| cases::all(&folder)).transpose()?.unwrap_or_default();
            let installed = match &component {
                ComponentRef::Name(name) => this.components().installed().find(name)?,
                _ => None,
            };
            let kept = installed.as_ref().and_then(|entry| entry.cost.as_ref()).and_then(CostCard::read);
            let kept = kept.and_then(|card| card.work).and_then(|work| work.as_object().cloned());
            let loaded = this.components().runtime()?.load(&name, &bytes)?;
            let card = measure(&loaded, &bytes, kept, &cases)?;
            if let Some(entry) = installed
                && !this.model_store().is_read_only()
            {
                this.components().installed().set_cost(&entry.name, &entry.digest, card.to_value())?;
            }
            Ok(card)
        };
        blocking::spawn("wasmlx-cost", measure).await
    }
}

/// Measures a component, whose bytes these are, by the work that it was measured by before, else by the first case that
/// fits.
///
/// # Errors
/// `InvalidInput` for a component that refuses the work.
pub(crate) fn measure(
    component: &Component,
    bytes: &[u8],
    before: Option<cases::Case>,
    cases: &[cases::Case],
) -> Result<CostCard> {
    let work = before.or_else(|| work::choose(component.kind(), cases));
    measure::measure(component, bytes, work)
}

impl CostCard {
    /// In the form that is kept.
    pub(crate) fn to_value(&self) -> Value {
        // It is made of texts and numbers, which always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
