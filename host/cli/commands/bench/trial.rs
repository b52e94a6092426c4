//! What a bench measures, run by run and sampler by sampler.

use serde_json::{Map, Value, json};
use wasmlx::Report;

use crate::commands::run;
use crate::statistics::{self, MedianInterval};

/// One run of all requests.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) prompt_tps: f64,
    pub(super) generation_tps: f64,
    pub(super) ttft_ms: f64,
    /// Each a token.
    pub(super) device_reads: f64,
    pub(super) evals: f64,
    pub(super) boundary_calls: f64,
    pub(super) wasted_forwards: f64,
    /// Of all ids: equal digests, equal ids.
    pub(super) digest: u64,
}

impl Trial {
    pub(super) fn of(reports: &[Report]) -> Self {
        let slowest =
            |time: fn(&Report) -> std::time::Duration| reports.iter().map(time).max().unwrap_or_default().as_secs_f64();
        let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>() as f64;
        let tokens = sum(|report| report.usage.completion_tokens as u64);
        let several = reports.iter().any(|report| report.usage.completion_tokens > 1);
        let first = slowest(|report| report.time_to_first_token);
        let rest = slowest(|report| report.duration.saturating_sub(report.time_to_first_token));
        let mut ids: Vec<&[u32]> = reports.iter().map(|report| report.tokens.as_slice()).collect();
        ids.sort_unstable();
        Self {
            prompt_tps: sum(|report| report.usage.prompt_tokens as u64) / first,
            // As run counts it: fewer than two tokens have no time after the first.
            generation_tps: if several && rest > 0.0 { tokens / rest } else { 0.0 },
            ttft_ms: first * 1000.0,
            device_reads: sum(|report| report.cost.device_reads) / tokens,
            evals: sum(|report| report.cost.evals) / tokens,
            boundary_calls: sum(|report| report.cost.boundary_calls) / tokens,
            wasted_forwards: sum(|report| report.cost.wasted_forwards) / tokens,
            digest: fnv1a(ids.concat().iter().flat_map(|id| id.to_le_bytes())),
        }
    }

    pub(super) fn line(&self) -> String {
        format!(
            "prompt {:.1} tokens/s, generation {:.1} tokens/s, first token {:.1} ms",
            self.prompt_tps, self.generation_tps, self.ttft_ms
        )
    }
}

/// A sampler's trials.
pub(super) struct Sampled {
    pub(super) name: String,
    pub(super) trials: Vec<Trial>,
}

impl Sampled {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), trials: Vec::new() }
    }

    pub(super) fn median(&self, value: fn(&Trial) -> f64) -> f64 {
        let values: Vec<f64> = self.trials.iter().map(value).collect();
        statistics::median(&values).unwrap_or_default()
    }

    /// Of the ids of every trial; none where they differ from trial to trial.
    pub(super) fn digest(&self) -> Option<u64> {
        let first = self.trials.first()?.digest;
        self.trials.iter().all(|trial| trial.digest == first).then_some(first)
    }

    /// How this one's generation rate stands to another's, pair by pair.
    pub(super) fn ratio_to(&self, baseline: &Self) -> Option<MedianInterval> {
        let pairs = self.trials.iter().zip(&baseline.trials);
        let ratios: Vec<f64> = pairs.map(|(own, other)| own.generation_tps / other.generation_tps).collect();
        // Where a rate has no meaning their ratio has none.
        let all_finite = ratios.iter().all(|ratio| ratio.is_finite());
        statistics::median_interval(&ratios).filter(|_| all_finite)
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let value = json!({
            "sampler": self.name,
            "prompt_tps": run::rounded(self.median(|trial| trial.prompt_tps)),
            "generation_tps": run::rounded(self.median(|trial| trial.generation_tps)),
            "ttft_ms": run::rounded(self.median(|trial| trial.ttft_ms)),
            "device_reads": self.median(|trial| trial.device_reads),
            "evals": self.median(|trial| trial.evals),
            "boundary_calls": self.median(|trial| trial.boundary_calls),
            "wasted_forwards": self.median(|trial| trial.wasted_forwards),
            "digest": self.digest().map(|digest| format!("{digest:016x}")),
        });
        value.as_object().cloned().unwrap_or_default()
    }
}

/// FNV-1a, 64 bits (RFC draft-eastlake-fnv): the same on every platform and in every version.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm's published vectors.
    #[test]
    fn digests_are_fnv1a() {
        assert_eq!(fnv1a(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a".iter().copied()), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }
}
