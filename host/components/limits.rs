//! What a component may use: memory, compute time, places.

use std::time::Duration;

use wasmtime::{ResourceLimiter, Result};

use crate::{ComponentError, ComponentErrorKind};

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
    /// Instances at once, of templates and policies together, and as many chats.
    pub instances: u32,
    /// Compute time of one call of a template.
    pub template_call: Duration,
    /// Compute time of one `step` of a policy, which runs on the device thread.
    pub policy_step: Duration,
    /// Operations on logits in one `step`. They are lazy, so a step could otherwise queue work without end.
    pub policy_step_operations: u32,
    /// Of these, readings in one `step`: each has the device finish first, and waiting for it is not computing.
    pub policy_step_readings: u32,
    /// Compute time of every other call of a policy: `plan`, `open`, `save`, `restore`.
    pub policy_setup: Duration,
    /// Compute time of all steps of one request's policy together, counted by the clock where they compute.
    pub policy_request: Duration,
    /// Compute time of a chat between two calls of the host.
    pub chat_slice: Duration,
    /// Compute time of a chat session from its start to its end, and of what the host computes for it: its template,
    /// the tokenizer.
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
            policy_step_operations: 1024,
            policy_step_readings: 64,
            policy_setup: Duration::from_millis(500),
            policy_request: Duration::from_secs(60),
            chat_slice: Duration::from_secs(1),
            chat_session: Duration::from_secs(600),
        }
    }
}

impl Limits {
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

/// The most core instances and tables of one component. One made from Python has some 30 core instances.
pub(crate) const PARTS_PER_COMPONENT: u32 = 128;

/// The most memories of one component. One made by any of the usual tools has one; several components composed into
/// one have one each.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 8;

/// The most handles that an instance may hold, on resources of its own making too, which take the host's memory.
pub(crate) const HANDLES: usize = 65_536;

/// What an element of a table takes of the host's memory.
const BYTES_PER_ELEMENT: usize = 16;

/// The most stop strings that a component may name, and their bytes together.
const STOPS: usize = 256;
const STOP_BYTES: usize = 64 << 10;

/// The largest component that is read. One made from Python has 18 MB.
pub(crate) const COMPONENT_BYTES: u64 = 256 << 20;

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

/// Counts the memory of one instance, all its linear memories and tables together, and remembers that it hit the limit: a guest
/// whose allocator is refused memory traps without saying why.
pub(crate) struct MemoryMeter {
    limit: usize,
    used: usize,
    refused: bool,
}

impl MemoryMeter {
    /// None used of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, refused: false }
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
        PARTS_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }
}
