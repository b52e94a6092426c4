//! Measuring a component.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmlx_components::{Component, Gauge, Limits, Runtime, RuntimeOptions};

use super::recorder::record;
use super::work::{self, Task};
use super::{CallCost, CostCard, Machine, SCHEMA, Spread};
use crate::embed::cases::Case;
use crate::embed::error::{Error, ErrorKind, Result};

/// How often something is timed at the most, and at the least; and for how long together, where that is often enough.
const MOST_TIMES: usize = 2000;
const LEAST_TIMES: usize = 5;
const MOST_TIME: Duration = Duration::from_millis(300);

/// How often something is counted: the same on every machine, so that the counts are too.
const COUNTED: usize = 64;

/// How long counting may take. What is still slower by then does not mean to end.
const COUNTING_TIME: Duration = Duration::from_secs(60);

/// Measures a component, whose bytes these are and whose runtime caches what it compiles. Blocks for seconds, and for
/// as long as it takes to compile the component, once more where that was not done when it was loaded.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it refuses the work that it is measured by.
pub(super) fn measure(component: &Component, bytes: &[u8], case: Option<Case>) -> Result<CostCard> {
    let (name, runtime) = (component.name(), component.runtime());
    let fails = |why: String| {
        Error::new(ErrorKind::InvalidInput, format_args!("{name} cannot be measured: {why}"))
            .with_hint("its first case without an error is what it is measured by, else a standard one")
    };
    let compile = match component.compile_time() {
        Some(time) => time,
        None => Runtime::new(RuntimeOptions::default())?.load(name, bytes)?.compile_time().unwrap_or_default(),
    };
    let load = times(MOST_TIMES / 20, || Ok(runtime.load(name, bytes).map(drop)?))?;

    let gauge = Arc::new(Gauge::default());
    let counting = RuntimeOptions { limits: patient(), gauge: Some(Arc::clone(&gauge)), ..RuntimeOptions::default() };
    let counting = Runtime::new(counting)?.load(name, bytes)?;

    let (mut calls, mut memory) = (Vec::new(), None);
    if let Some(case) = &case {
        let timed = time(component, case).map_err(fails)?;
        let counted = count(&counting, &gauge, case).map_err(fails)?;
        memory = Some(counted.memory);
        calls = counted
            .calls
            .into_iter()
            .filter_map(|Counted { name, fuel, host_calls, bytes }| {
                let time = timed.get(&name).copied()?;
                Some(CallCost { name, time, fuel, host_calls, bytes })
            })
            .collect();
    }
    Ok(CostCard {
        schema: SCHEMA,
        digest: component.digest().to_owned(),
        machine: Machine::this(),
        compile: nanoseconds(compile),
        load,
        memory,
        calls,
        work: case.map(Value::Object),
    })
}

/// Limits for code that counts and was compiled quickly, which is several times slower than what is run otherwise.
fn patient() -> Limits {
    const SLOWER: u32 = 20;
    let limits = Limits::default();
    Limits {
        template_call: SLOWER * limits.template_call,
        policy_step: SLOWER * limits.policy_step,
        policy_setup: SLOWER * limits.policy_setup,
        policy_request: SLOWER * limits.policy_request,
        chat_slice: SLOWER * limits.chat_slice,
        chat_session: SLOWER * limits.chat_session,
        ..limits
    }
}

/// How long each of the functions takes that a component's work calls.
fn time(component: &Component, case: &Case) -> std::result::Result<BTreeMap<String, Spread>, String> {
    let mut spreads = BTreeMap::new();
    for Task { functions, mut work } in work::tasks(component, case)? {
        let mut samples: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        record(false, |recording| {
            let mut began = Instant::now();
            for number in 1..=MOST_TIMES {
                work.once()?;
                if number == 1 {
                    // The first step of a request makes the request, which may take long.
                    began = Instant::now();
                }
                let mut sums: BTreeMap<String, Duration> = BTreeMap::new();
                for call in recording.take() {
                    *sums.entry(work::told_as(&call.function).to_owned()).or_default() += call.time;
                }
                for (name, time) in sums {
                    samples.entry(name).or_default().push(nanoseconds(time));
                }
                if number >= LEAST_TIMES && began.elapsed() > MOST_TIME {
                    break;
                }
            }
            Ok::<_, String>(())
        })?;
        samples.retain(|name, _| functions.contains(&name.as_str()));
        spreads.extend(samples.into_iter().map(|(name, samples)| (name, Spread::of(samples))));
    }
    Ok(spreads)
}

/// What was counted.
struct Counts {
    calls: Vec<Counted>,
    /// The most bytes of an instance.
    memory: u64,
}

/// What was counted of one function, on average over its calls.
struct Counted {
    name: String,
    fuel: u64,
    host_calls: f64,
    bytes: Option<u64>,
}

/// What each of the functions takes that a component's work calls.
fn count(component: &Component, gauge: &Gauge, case: &Case) -> std::result::Result<Counts, String> {
    let (mut counts, mut memory, began) = (Vec::new(), 0, Instant::now());
    for Task { functions, mut work } in work::tasks(component, case)? {
        // What it took to make the work ready is another task's.
        gauge.take();
        let (mut fuel, mut host_calls, mut bytes) = (BTreeMap::new(), BTreeMap::new(), Some(0));
        record(true, |recording| {
            for _ in 0..COUNTED {
                bytes = bytes.zip(work.once()?).map(|(sum, more)| sum + more);
                if began.elapsed() > COUNTING_TIME {
                    return Err(format!("it takes more than {} s to be counted", COUNTING_TIME.as_secs()));
                }
                for call in recording.take() {
                    *host_calls.entry(work::told_as(&call.function).to_owned()).or_insert(0) += call.host_calls;
                }
            }
            Ok::<_, String>(())
        })?;
        for reading in gauge.take() {
            *fuel.entry(work::told_as(reading.function)).or_insert(0) += reading.fuel;
            memory = memory.max(reading.memory as u64);
        }
        for (index, name) in functions.iter().enumerate() {
            let Some(fuel) = fuel.get(name) else { continue };
            let host_calls = host_calls.get(*name).copied().unwrap_or(0_u64) as f64 / COUNTED as f64;
            // The bytes are those of the call that the work is about, which comes last.
            let bytes = bytes.filter(|_| index + 1 == functions.len()).map(|bytes: u64| bytes / COUNTED as u64);
            counts.push(Counted { name: (*name).to_owned(), fuel: fuel / COUNTED as u64, host_calls, bytes });
        }
    }
    Ok(Counts { calls: counts, memory })
}

/// How long something takes.
fn times(most: usize, mut work: impl FnMut() -> Result<()>) -> Result<Spread> {
    let (mut samples, all) = (Vec::new(), Instant::now());
    while samples.len() < LEAST_TIMES || samples.len() < most && all.elapsed() < MOST_TIME {
        let began = Instant::now();
        work()?;
        samples.push(nanoseconds(began.elapsed()));
    }
    Ok(Spread::of(samples))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
