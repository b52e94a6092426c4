//! What a component may use: memory, compute time, places.

use std::time::Duration;

use wasmtime::{ResourceLimiter, Result};

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
    /// Compute time of every other call of a policy: `plan`, its constructor, `save`, `restore`.
    pub policy_setup: Duration,
    /// Compute time of a chat between two calls of the host.
    pub chat_slice: Duration,
    /// Compute time of a chat session from its start to its end.
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
            policy_setup: Duration::from_millis(500),
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

/// The most core instances, tables and memories of one component. One made from Python has some 30 core instances.
pub(crate) const PARTS_PER_COMPONENT: u32 = 128;

/// Counts the memory of one instance, all its linear memories together, and remembers that it hit the limit: a guest
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
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let used = self.used + desired.saturating_sub(current);
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        PARTS_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        PARTS_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        PARTS_PER_COMPONENT as usize
    }
}
