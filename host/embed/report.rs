//! What an answer came to.

use std::time::{Duration, Instant};

use wasmlx_engine::{self as engine, TokenLogprobs, Usage};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its turn, or a stop string matched.
    Stop,
    /// The most tokens allowed were generated, or the context is full.
    Length,
    /// The model asks for tools that the application is to call.
    ToolCalls,
    /// It was cancelled.
    Cancelled,
}

impl FinishReason {
    /// Its name as OpenAI's interfaces write it: `stop`, `length`, `tool_calls`; and `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<engine::FinishReason> for FinishReason {
    fn from(reason: engine::FinishReason) -> Self {
        match reason {
            engine::FinishReason::Stop => Self::Stop,
            engine::FinishReason::Length => Self::Length,
            engine::FinishReason::Cancelled => Self::Cancelled,
        }
    }
}

/// What an answer came to: the last event of each.
///
/// A chat may generate several times for one answer (after each call of a tool, for instance); the report is about
/// all of them together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Every token generated, end tokens included.
    pub tokens: Vec<u32>,
    /// Where they were asked for: for each token how likely it was by the model alone. None within for a token that
    /// was forced without the model being asked.
    pub logprobs: Option<Vec<Option<TokenLogprobs>>>,
    /// How many tokens it took.
    pub usage: Usage,
    /// From the request to the first token, rendering and waiting included.
    pub time_to_first_token: Duration,
    /// From the request to the end.
    pub duration: Duration,
    /// Of `duration`, until first tokens: reading prompts.
    pub prompt_time: Duration,
    /// Of `duration`, after first tokens.
    pub generation_time: Duration,
    /// What the device was asked to do.
    pub cost: Cost,
}

impl Report {
    /// Tokens of the prompt read a second, the cached ones left out.
    pub fn prompt_tps(&self) -> f64 {
        rate(self.usage.prompt_tokens - self.usage.cached_tokens.min(self.usage.prompt_tokens), self.prompt_time)
    }

    /// Tokens generated a second, counted as mlx-lm counts them: all of them, over the time after the first. 0 for
    /// fewer than two, which have no such time.
    pub fn generation_tps(&self) -> f64 {
        if self.usage.completion_tokens < 2 { 0.0 } else { rate(self.usage.completion_tokens, self.generation_time) }
    }
}

/// 0 where no time passed.
fn rate(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
}

/// What an answer cost, in counts that do not depend on the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Times the host waited for a value of the device.
    pub device_reads: u64,
    /// Times a graph was handed to the device.
    pub evals: u64,
    /// Calls of the sampling policy.
    pub boundary_calls: u64,
    /// Forward passes that were queued ahead and then not needed.
    pub wasted_forwards: u64,
}

/// A report in the making.
pub(crate) struct Tally {
    started: Instant,
    first_token: Option<Instant>,
    tokens: Vec<u32>,
    logprobs: Option<Vec<Option<TokenLogprobs>>>,
    usage: Usage,
    prompt_time: Duration,
    generation_time: Duration,
    cost: Cost,
}

impl Tally {
    /// From now on; `logprobs`: whether they were asked for.
    pub(crate) fn start(logprobs: bool) -> Self {
        Self {
            started: Instant::now(),
            first_token: None,
            tokens: Vec::new(),
            logprobs: logprobs.then(Vec::new),
            usage: Usage::default(),
            prompt_time: Duration::ZERO,
            generation_time: Duration::ZERO,
            cost: Cost::default(),
        }
    }

    /// Takes in what the engine reports of any generation of this answer.
    pub(crate) fn add(&mut self, event: &engine::Event) {
        match event {
            engine::Event::Token { id, logprobs, .. } => {
                if self.first_token.is_none() {
                    self.first_token = Some(Instant::now());
                    tracing::debug!(after = ?self.started.elapsed(), "first token");
                }
                self.tokens.push(*id);
                if let Some(all) = &mut self.logprobs {
                    all.push(logprobs.clone());
                }
            }
            engine::Event::Finished(finished) => {
                self.usage.prompt_tokens += finished.usage.prompt_tokens;
                self.usage.cached_tokens += finished.usage.cached_tokens;
                self.usage.completion_tokens += finished.usage.completion_tokens;
                self.prompt_time += finished.timings.first_token;
                self.generation_time += finished.timings.generation;
                self.cost.device_reads += finished.counters.reads;
                self.cost.evals += finished.counters.evals;
                self.cost.boundary_calls += finished.boundary_calls;
                self.cost.wasted_forwards += finished.wasted_forwards;
            }
        }
    }

    /// The report, at the answer's end.
    pub(crate) fn report(self, finish_reason: FinishReason) -> Report {
        let duration = self.started.elapsed();
        let first = self.first_token.map_or(duration, |first| first.duration_since(self.started));
        Report {
            finish_reason,
            tokens: self.tokens,
            logprobs: self.logprobs,
            usage: self.usage,
            time_to_first_token: first,
            duration,
            prompt_time: self.prompt_time,
            generation_time: self.generation_time,
            cost: self.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmlx_backend::Counters;
    use wasmlx_engine::{Event, Finished, Timings};

    use super::*;

    fn token(id: u32) -> Event {
        Event::Token { id, text: String::new(), logprobs: None }
    }

    fn finished(prompt: usize, cached: usize, completion: usize) -> Event {
        Event::Finished(Finished {
            reason: engine::FinishReason::Stop,
            usage: Usage { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: completion },
            timings: Timings {
                prefill: Duration::from_millis(40),
                first_token: Duration::from_millis(50),
                generation: Duration::from_millis(100),
            },
            tokens: Vec::new(),
            counters: Counters { forwards: 3, evals: 4, reads: 5 },
            wasted_forwards: 1,
            boundary_calls: 2,
        })
    }

    #[test]
    fn generations_of_one_answer_add_up() {
        let mut tally = Tally::start(true);
        for event in [token(1), token(2), finished(10, 0, 2), token(3), finished(14, 12, 1)] {
            tally.add(&event);
        }
        let report = tally.report(FinishReason::ToolCalls);
        assert_eq!(report.tokens, [1, 2, 3]);
        assert_eq!(report.usage, Usage { prompt_tokens: 24, cached_tokens: 12, completion_tokens: 3 });
        assert_eq!(report.logprobs, Some(vec![None, None, None]));
        let cost = Cost { device_reads: 10, evals: 8, boundary_calls: 4, wasted_forwards: 2 };
        assert_eq!(report.cost, cost);
        // 12 tokens read in 0.1 s, 3 generated in 0.2 s.
        assert!((report.prompt_tps() - 120.0).abs() < 1e-9);
        assert!((report.generation_tps() - 15.0).abs() < 1e-9);
    }

    #[test]
    fn no_time_is_no_rate() {
        let report = Tally::start(false).report(FinishReason::Length);
        assert_eq!((report.prompt_tps(), report.generation_tps(), report.logprobs), (0.0, 0.0, None));
    }
}
