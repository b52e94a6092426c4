//! What a component may use: memory, compute time, places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{ResourceLimiter, Result};

use crate::{ComponentError, ComponentErrorKind, ComponentKind};

/// Limits of every component of a runtime. Compute time is a component's own: waiting for tokens, for the device or
/// for a tool does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory of a template instance.
    pub template_memory: usize,
    /// Bytes of linear memory of a policy instance.
    pub policy_memory: usize,
    /// Bytes of linear memory of a chat instance.
    pub chat_memory: usize,
    /// Instances at once, of templates and policies together, and as many chats. One that finds no place is refused.
    pub instances: u32,
    /// Compute time of one call of a template.
    pub template_call: Duration,
    /// Compute time of one `step` of a policy, which runs on the device thread.
    pub policy_step: Duration,
    /// Operations on logits in one `step`. They are lazy: what a step queues is computed after it, and takes time from
    /// all requests.
    pub policy_step_operations: u32,
    /// Of these, readings in one `step`: each has the device finish first, and waiting for it is not computing. To
    /// constrain the scores by a grammar is one, too, since the host computes for it.
    pub policy_step_readings: u32,
    /// Compute time of every other call of a policy: `plan`, `open`, `save`, `restore`.
    pub policy_setup: Duration,
    /// Compute time of all steps of one request's policy together, counted by the clock where they compute.
    pub policy_request: Duration,
    /// Compute time of a chat between two calls of the host.
    pub chat_slice: Duration,
    /// Compute time of a chat session from its start to its end, and of what the host computes for it: its template,
    /// the tokenizer, grammars that are compiled, JSON that is parsed.
    pub chat_session: Duration,
}

impl Default for Limits {
    /// Room for a language runtime inside a template or chat (Python's takes some 40 MiB), little for a policy, which
    /// every request has its own of. A token takes 3 to 15 ms, so a step of 20 is felt but harms nobody for long.
    fn default() -> Self {
        Self {
            template_memory: 256 << 20,
            policy_memory: 64 << 20,
            chat_memory: 256 << 20,
            instances: 512,
            template_call: Duration::from_secs(2),
            policy_step: Duration::from_millis(20),
            policy_step_operations: 256,
            policy_step_readings: 16,
            policy_setup: Duration::from_millis(500),
            policy_request: Duration::from_secs(60),
            chat_slice: Duration::from_secs(1),
            chat_session: Duration::from_secs(600),
        }
    }
}

/// What one component of a kind may use of [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindLimits {
    /// Bytes of linear memory and tables of an instance.
    pub memory: usize,
    /// Instances at once, of this and the kinds that share their places with it.
    pub instances: u32,
    /// Elements of a table.
    pub table_elements: usize,
    /// Handles on resources that an instance may hold.
    pub handles: usize,
    /// Bytes, about, that it may hand to the host in one call.
    pub bytes_per_call: usize,
    /// Operations on logits in a step, and how many of them may read; for policies.
    pub step_operations: Option<(u32, u32)>,
    /// Compute time of its own.
    pub compute: Vec<ComputeLimit>,
}

/// How long something may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComputeLimit {
    /// What is limited, in a word: `step`.
    pub name: &'static str,
    /// The same in words: `a step`.
    pub of: &'static str,
    /// The limit.
    pub time: Duration,
}

impl Limits {
    /// What holds for components of a kind.
    pub fn of(&self, kind: ComponentKind) -> KindLimits {
        let limit = |name, of, time| ComputeLimit { name, of, time };
        let compute = match kind {
            ComponentKind::Template => vec![limit("call", "a call", self.template_call)],
            ComponentKind::Policy => vec![
                limit("step", "a step", self.policy_step),
                limit("call", "any other call", self.policy_setup),
                limit("request", "a request's steps together", self.policy_request),
            ],
            ComponentKind::Chat | ComponentKind::Agent => vec![
                limit("slice", "between two calls of the host", self.chat_slice),
                limit("session", "a session", self.chat_session),
            ],
        };
        KindLimits {
            memory: self.memory(kind),
            instances: self.instances,
            table_elements: TABLE_ELEMENTS,
            handles: HANDLES,
            bytes_per_call: BYTES_PER_CALL,
            step_operations: (kind == ComponentKind::Policy)
                .then_some((self.policy_step_operations, self.policy_step_readings)),
            compute,
        }
    }

    /// Bytes of memory of an instance of a kind.
    pub(crate) fn memory(&self, kind: ComponentKind) -> usize {
        match kind {
            ComponentKind::Template => self.template_memory,
            ComponentKind::Policy => self.policy_memory,
            ComponentKind::Chat | ComponentKind::Agent => self.chat_memory,
        }
    }

    /// The largest memory any instance may have.
    pub(crate) fn largest_memory(&self) -> usize {
        self.template_memory.max(self.policy_memory).max(self.chat_memory)
    }
}

/// The most elements of one table of an instance. A component made from Python has some 10,000 functions in its table.
pub(crate) const TABLE_ELEMENTS: usize = 65_536;

/// The most bytes, about, that a guest hands to the host in one call: a list may name the same text a million times, and
/// the host has a copy of each.
pub(crate) const BYTES_PER_CALL: usize = 32 << 20;

/// The most bytes of a text that a component has encoded, or of a conversation that it has rendered, in one call: a
/// tokenizer takes up to two hundred times as many, and seconds. A million tokens have about as many, so no text that
/// fits into a context of 128k tokens is near it.
pub(crate) const TEXT_BYTES: usize = 4 << 20;

/// The most bytes of the JSON of one call together. A number of one digit takes 72 bytes where it is parsed.
pub(crate) const JSON_BYTES: usize = 2 << 20;

/// The largest conversation by which a template that breaks down is to blame. Whoever wrote a larger one may have
/// written it for that, and a template on trial is another's.
pub(crate) const TRIAL_BYTES: usize = 256 << 10;

/// The most tokens whose bytes a policy may ask for in one step: some take a tokenizer 4 us each, and the step has the
/// device's thread.
pub(crate) const SPELLED_PER_STEP: usize = 4096;

/// The most core instances of one component. One made from Python has some 30.
pub(crate) const PARTS_PER_COMPONENT: u32 = 128;

/// The most memories and tables of one component. One made by any of the usual tools has a memory and two or three
/// tables; several components composed into one have as many each.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 4;
pub(crate) const TABLES_PER_COMPONENT: u32 = 32;

/// The most handles that an instance may hold, on resources of its own making too, which take the host's memory.
pub(crate) const HANDLES: usize = 65_536;

/// What an element of a table takes of the host's memory.
const BYTES_PER_ELEMENT: usize = 16;

/// The most stop strings that a component may name, and their bytes together.
const STOPS: usize = 256;
const STOP_BYTES: usize = 64 << 10;

/// The largest component that is read. One made from Python has 18 MB.
pub(crate) const COMPONENT_BYTES: u64 = 256 << 20;

/// That an instance of a component takes no more than its place in the pool.
pub(crate) fn check_parts(code: &Component) -> std::result::Result<(), ComponentError> {
    let refused = |message: String| Err(ComponentError::new(ComponentErrorKind::NotAComponent, "", message));
    match code.resources_required() {
        None => refused("it imports core modules, which no world has".to_owned()),
        Some(parts) if parts.num_memories > MEMORIES_PER_COMPONENT || parts.num_tables > TABLES_PER_COMPONENT => {
            refused(format!(
                "it has {} memories and {} tables; the most is {MEMORIES_PER_COMPONENT} and {TABLES_PER_COMPONENT}",
                parts.num_memories, parts.num_tables
            ))
        }
        Some(_) => Ok(()),
    }
}

/// That what a component has rendered or encoded, in words, is of no more bytes than make sense.
pub(crate) fn check_text(what: &str, bytes: usize) -> std::result::Result<(), ComponentError> {
    if bytes <= TEXT_BYTES {
        return Ok(());
    }
    let message = format!("{what} has {bytes} bytes, and the most at once is {} MiB: shorten it", TEXT_BYTES >> 20);
    Err(ComponentError::new(ComponentErrorKind::ContextFull, "", message))
}

/// That the JSON of a call, in words, is of no more bytes than make sense.
pub(crate) fn check_json(what: &str, bytes: usize) -> std::result::Result<(), ComponentError> {
    if bytes <= JSON_BYTES {
        return Ok(());
    }
    let message = format!("{what} has {bytes} bytes; the most is {} MiB", JSON_BYTES >> 20);
    Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message))
}

/// That a component names no more stop strings than make sense. They are looked for at every token.
pub(crate) fn check_stops(stops: &[String]) -> std::result::Result<(), ComponentError> {
    let bytes: usize = stops.iter().map(String::len).sum();
    if stops.len() <= STOPS && bytes <= STOP_BYTES {
        return Ok(());
    }
    let message = format!(
        "it names {} stop strings of {bytes} bytes; the most is {STOPS}, of {} KiB together",
        stops.len(),
        STOP_BYTES >> 10
    );
    Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message))
}

/// Counts the memory of one instance, all its linear memories and tables together, and remembers that it hit the limit:
/// a guest whose allocator is refused memory traps without saying why.
pub(crate) struct MemoryMeter {
    limit: usize,
    used: usize,
    refused: bool,
    _place: Place,
}

/// How many instances there may be; and, while it lives, one of them.
#[derive(Clone)]
pub(crate) struct Places(Arc<AtomicU32>);
pub(crate) struct Place(Arc<AtomicU32>);

impl Places {
    pub(crate) fn new(count: u32) -> Self {
        Self(Arc::new(AtomicU32::new(count)))
    }

    /// Takes a place, if one is free.
    fn take(&self) -> std::result::Result<Place, ComponentError> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        taken.map(|_| Place(Arc::clone(&self.0))).map_err(|_| {
            let message = "no place for another instance is free: try again when other requests have ended";
            ComponentError::new(ComponentErrorKind::OutOfMemory, "", message)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl MemoryMeter {
    /// None used of `limit` bytes, for an instance that takes one of the places.
    pub(crate) fn new(limit: usize, places: &Places) -> std::result::Result<Self, ComponentError> {
        Ok(Self { limit, used: 0, refused: false, _place: places.take()? })
    }

    /// A call begins: an earlier one that was refused memory and lived on explains nothing of this one.
    pub(crate) fn begin_call(&mut self) {
        self.refused = false;
    }

    /// Bytes that the instance has.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The limit, where it was hit.
    pub(crate) fn hit(&self) -> Option<usize> {
        self.refused.then_some(self.limit)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit);
        match used {
            Some(used) => self.used = used,
            None => self.refused = true,
        }
        used.is_some()
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && self.take(desired.saturating_sub(current) * BYTES_PER_ELEMENT))
    }

    fn instances(&self) -> usize {
        PARTS_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }
}
