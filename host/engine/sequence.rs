//! One generation on the device thread.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use wasmlx_backend::{Counters, Input, Logits, SampleKey, Token};

use crate::cancel::CancelToken;
use crate::chain::Chain;
use crate::constraint::Constraint;
use crate::context::ContextId;
use crate::event::{Event, FinishReason, Finished, Sampling, Timings, TokenLogprobs, Usage};
use crate::generation::Update;
use crate::model::LoadedModel;
use crate::output::Output;
use crate::policy::{Choice, Policy, StepInfo};
use crate::slot::Slot;
use crate::start::Start;
use crate::{EngineError, EngineErrorKind};

/// A generation: the state of one answer between two steps.
pub(crate) struct Sequence {
    pub(crate) context: ContextId,
    /// Whether the context was dropped meanwhile.
    pub(crate) orphan: bool,
    slot: Slot,
    /// Tokens before the answer.
    prompt: usize,
    cached: usize,
    /// How long the tokens may become.
    limit: usize,
    max_tokens: usize,
    sampler: Sampler,
    end_tokens: Vec<u32>,
    constraint: Option<Constraint>,
    seed: u64,
    logprobs: Option<u32>,
    prefill_chunk: usize,
    /// The token after the last of `slot.tokens`, chosen and started but not read. The cache holds all of them then.
    pending: Option<Pending>,
    output: Output,
    updates: UnboundedSender<Update>,
    cancel: CancelToken,
    clock: Clock,
    counters: Counters,
    wasted_forwards: u64,
    boundary_calls: u64,
    backtracked: usize,
}

struct Pending {
    token: Box<dyn Token>,
    /// What the token was drawn from, where its log-probabilities are asked for.
    scores: Option<Box<dyn Logits>>,
}

enum Sampler {
    Chain(Chain),
    /// `seen`: how many tokens the policy was told of.
    Policy {
        policy: Box<dyn Policy>,
        seen: usize,
    },
}

struct Clock {
    asked: Instant,
    started: Instant,
    first: Option<Instant>,
}

impl Sequence {
    /// Takes over what the context has on the device.
    pub(crate) fn new(start: Start, mut slot: Slot) -> Self {
        let prompt = start.tokens.len();
        let cached = slot.reset(start.tokens);
        let context_length = slot.model.model.info().context_length as usize;
        Self {
            context: start.context,
            orphan: false,
            slot,
            prompt,
            cached,
            limit: prompt.saturating_add(start.max_tokens).min(context_length),
            max_tokens: start.max_tokens,
            sampler: match start.sampling {
                Sampling::Chain(chain) => Sampler::Chain(chain),
                Sampling::Policy(policy) => Sampler::Policy { policy, seen: 0 },
            },
            end_tokens: start.end_tokens,
            constraint: start.constraint,
            seed: start.seed,
            logprobs: start.logprobs,
            prefill_chunk: start.prefill_chunk,
            pending: None,
            output: start.output,
            updates: start.updates,
            cancel: start.cancel,
            clock: Clock { asked: start.asked, started: Instant::now(), first: None },
            counters: Counters::default(),
            wasted_forwards: 0,
            boundary_calls: 0,
            backtracked: 0,
        }
    }

    pub(crate) fn model(&self) -> &Rc<LoadedModel> {
        &self.slot.model
    }

    /// Adds to what the generation has cost the device.
    pub(crate) fn charge(&mut self, before: Counters, after: Counters) {
        self.counters.forwards += after.forwards - before.forwards;
        self.counters.evals += after.evals - before.evals;
        self.counters.reads += after.reads - before.reads;
    }

    /// Bytes of device memory that its cache takes.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.slot.cache.bytes()
    }

    /// The device had no memory for a step. Nobody knows what the cache holds now, so all is read again; the token that
    /// was chosen and not read is chosen again, by the same key.
    pub(crate) fn begin_anew(&mut self) {
        self.pending = None;
        self.cached = 0;
        self.slot.cache = self.slot.model.model.new_cache();
    }

    /// Goes on by a chunk of the prompt, or by a token. Says why, where that is the end.
    pub(crate) fn step(&mut self) -> Result<Option<FinishReason>, EngineError> {
        if self.is_cancelled() {
            return Ok(Some(FinishReason::Cancelled));
        }
        let reason = match self.pending.take() {
            Some(pending) => self.advance(pending)?,
            None => self.read_known()?,
        };
        debug_assert!(
            self.slot.cache.len() == self.slot.tokens.len() || self.pending.is_none(),
            "the cache holds all tokens before one that is chosen",
        );
        debug_assert!(self.slot.cache.len() <= self.slot.tokens.len(), "the cache holds no token that was dropped");
        Ok(reason)
    }

    /// Reads tokens that are known: the prompt's, and those that a policy forced.
    fn read_known(&mut self) -> Result<Option<FinishReason>, EngineError> {
        let Slot { model, tokens, cache } = &mut self.slot;
        let unread = &tokens[cache.len()..];
        if unread.len() > self.prefill_chunk {
            model.model.prefill(&unread[..self.prefill_chunk], &mut **cache)?;
            return Ok(None);
        }
        if tokens.len() >= self.limit {
            if unread.len() > 1 {
                model.model.prefill(&unread[..unread.len() - 1], &mut **cache)?;
            }
            return Ok(Some(FinishReason::Length));
        }
        let logits = model.model.forward(Input::Ids(unread), &mut **cache)?;
        if self.constraint.is_some() || matches!(self.sampler, Sampler::Policy { .. }) {
            logits.start()?;
        }
        self.choose(logits)
    }

    /// Queues the step after the pending token, reads that token, and chooses the next one.
    fn advance(&mut self, pending: Pending) -> Result<Option<FinishReason>, EngineError> {
        let mut next = None;
        let ahead = self.slot.tokens.len() + 1 < self.limit;
        if ahead {
            let logits = self.slot.model.model.forward(Input::Sampled(&*pending.token), &mut *self.slot.cache)?;
            next = Some(match &self.sampler {
                // The token after the pending one does not depend on which one that is but through the logits.
                Sampler::Chain(chain) if chain.window() == 0 && self.constraint.is_none() => {
                    let scores = self.logprobs.map(|_| logits.fork()).transpose()?;
                    let token = chain.sample(logits, &[], self.key(self.slot.tokens.len() + 1))?;
                    token.start()?;
                    Ahead::Chosen(Pending { token, scores })
                }
                _ => {
                    logits.start()?;
                    Ahead::Scores(logits)
                }
            });
        }
        let id = pending.token.read()?;
        let mut reason = self.accept(id, pending.scores)?;
        if reason.is_none() && self.is_cancelled() {
            reason = Some(FinishReason::Cancelled);
        }
        match next {
            Some(_) if reason.is_some() => {
                self.wasted_forwards += 1;
                self.slot.read_again_from(self.slot.tokens.len() - 1);
                Ok(reason)
            }
            Some(Ahead::Chosen(pending)) => {
                self.pending = Some(pending);
                Ok(None)
            }
            Some(Ahead::Scores(logits)) => self.choose(logits),
            None => Ok(reason),
        }
    }

    /// Chooses what comes after the tokens, all of which are read.
    fn choose(&mut self, mut logits: Box<dyn Logits>) -> Result<Option<FinishReason>, EngineError> {
        if self.is_complete() {
            // Only the grammar of an empty answer gets here; any other's last token ends it.
            return Ok(Some(FinishReason::Stop));
        }
        let tokens = &self.slot.tokens;
        let scores = self.logprobs.map(|_| logits.fork()).transpose()?;
        if let Some(constraint) = &mut self.constraint {
            // Found while the device computes the scores.
            logits.allow_mask(&constraint.mask()?)?;
        }
        let key = self.key(tokens.len());
        let choice = match &mut self.sampler {
            Sampler::Chain(chain) => Choice::Token(chain.sample(logits, tokens, key)?),
            Sampler::Policy { policy, seen } => {
                self.boundary_calls += 1;
                let info = StepInfo {
                    position: tokens.len() as u32,
                    generated: (tokens.len() - self.prompt) as u32,
                    new: &tokens[*seen..],
                    seed: self.seed,
                };
                *seen = tokens.len();
                policy.step(&info, logits)?
            }
        };
        match choice {
            Choice::Token(token) => {
                token.start()?;
                self.pending = Some(Pending { token, scores });
                Ok(None)
            }
            Choice::Forced(list) => self.force(&list, scores),
            Choice::Backtrack(count, list) => self.backtrack(count, &list, scores),
            Choice::Stop => {
                if let Some(constraint) = &mut self.constraint {
                    constraint.check_end()?;
                }
                Ok(Some(FinishReason::Stop))
            }
        }
    }

    /// Goes on with tokens that were not drawn; the scores are those of the first one's place.
    fn force(
        &mut self,
        list: &[u32],
        mut scores: Option<Box<dyn Logits>>,
    ) -> Result<Option<FinishReason>, EngineError> {
        if list.is_empty() {
            return Err(broken_rule("it forced an empty list of tokens, which would go on for ever"));
        }
        let vocabulary = self.slot.model.model.info().vocabulary_size;
        for &id in list {
            if id >= vocabulary {
                return Err(broken_rule(&format!("it forced the token {id}, but the model has only {vocabulary}")));
            }
            let reason = self.accept(id, scores.take())?;
            if reason.is_some() {
                return Ok(reason);
            }
        }
        Ok(None)
    }

    /// Drops the newest tokens and goes on with others.
    fn backtrack(
        &mut self,
        count: usize,
        list: &[u32],
        scores: Option<Box<dyn Logits>>,
    ) -> Result<Option<FinishReason>, EngineError> {
        if count == 0 {
            return self.force(list, scores);
        }
        let droppable = self.output.droppable();
        if count > droppable {
            return Err(broken_rule(&format!("it dropped {count} tokens where only {droppable} are not shown yet")));
        }
        self.backtracked += count;
        if self.backtracked > self.max_tokens.saturating_mul(16).saturating_add(1024) {
            return Err(broken_rule(&format!("it backtracks without end: {} tokens so far", self.backtracked)));
        }
        let kept = self.slot.tokens.len() - count;
        self.slot.tokens.truncate(kept);
        self.output.drop_newest(count).map_err(text_failed)?;
        if let Some(constraint) = &mut self.constraint {
            constraint.rewind(count)?;
        }
        if let Sampler::Policy { seen, .. } = &mut self.sampler {
            *seen = kept;
        }
        // What follows the last token that is kept is not known any more, so that one is read again, unless another
        // follows it.
        self.slot.read_again_from(if list.is_empty() { kept - 1 } else { kept });
        if list.is_empty() { Ok(None) } else { self.force(list, None) }
    }

    /// Takes a token into the answer. Says why, where that is the end of it.
    fn accept(&mut self, id: u32, scores: Option<Box<dyn Logits>>) -> Result<Option<FinishReason>, EngineError> {
        self.clock.first.get_or_insert_with(Instant::now);
        // First what the device may fail at: a token is taken as a whole or not at all.
        let logprobs = match (scores, self.logprobs) {
            (Some(scores), Some(count)) => Some(logprobs(scores, id, count)?),
            _ => None,
        };
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(id, matches!(self.sampler, Sampler::Policy { .. }))?;
        }
        self.slot.tokens.push(id);
        if self.end_tokens.contains(&id) {
            self.output.push_end(id, logprobs).map_err(text_failed)?;
            return Ok(Some(FinishReason::Stop));
        }
        if self.output.push(id, logprobs).map_err(text_failed)? || self.is_complete() {
            return Ok(Some(FinishReason::Stop));
        }
        while let Some(event) = self.output.next_ready() {
            self.send(event);
        }
        Ok((self.slot.tokens.len() >= self.limit).then_some(FinishReason::Length))
    }

    /// Reports the end and gives back what the context has on the device.
    pub(crate) fn finish(mut self, reason: FinishReason) -> Option<Slot> {
        if let Err(error) = self.flush() {
            return self.fail(error);
        }
        let now = Instant::now();
        let first = self.clock.first.unwrap_or(now);
        let tokens = self.slot.tokens[self.prompt..].to_vec();
        let finished = Finished {
            reason,
            usage: Usage { prompt_tokens: self.prompt, cached_tokens: self.cached, completion_tokens: tokens.len() },
            timings: Timings {
                prefill: first - self.clock.started,
                first_token: self.clock.first.map_or(Duration::ZERO, |first| first - self.clock.asked),
                generation: now - first,
            },
            tokens,
            counters: self.counters,
            wasted_forwards: self.wasted_forwards,
            boundary_calls: self.boundary_calls,
        };
        let read = self.slot.cache.len();
        let policy = self.sampler.into_policy();
        // A caller who is gone needs no report.
        let _ = self.updates.send(Update::Finished { finished, read, policy });
        Some(self.slot)
    }

    /// Reports a failure, after all tokens that were accepted. The slot comes back where the device is not to blame.
    pub(crate) fn fail(mut self, error: EngineError) -> Option<Slot> {
        // The first failure is the one to report.
        let _ = self.flush();
        let keep = matches!(
            error.kind(),
            EngineErrorKind::PolicyFailed
                | EngineErrorKind::GrammarFailed
                | EngineErrorKind::TextFailed
                | EngineErrorKind::InvalidInput
        );
        if keep {
            // A pass that was queued ahead has read a token that will not be known.
            self.slot.read_again_from(self.slot.tokens.len());
        }
        // What is not kept is free before anybody is told.
        let slot = keep.then_some(self.slot);
        let policy = self.sampler.into_policy();
        let _ = self.updates.send(Update::Failed(error, policy));
        slot
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        let flushed = self.output.flush().map_err(text_failed);
        while let Some(event) = self.output.next() {
            self.send(event);
        }
        flushed
    }

    fn send(&self, event: Event) {
        // Where the receiver is gone the next step ends the generation.
        let _ = self.updates.send(Update::Event(event));
    }

    /// Whether the grammar has come to its end.
    fn is_complete(&self) -> bool {
        self.constraint.as_ref().is_some_and(Constraint::is_complete)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.updates.is_closed()
    }

    fn key(&self, position: usize) -> SampleKey {
        SampleKey { seed: self.seed, position: position as u32, draw: 0 }
    }
}

/// What was queued ahead of reading the pending token.
enum Ahead {
    Chosen(Pending),
    Scores(Box<dyn Logits>),
}

impl Sampler {
    fn into_policy(self) -> Option<Box<dyn Policy>> {
        match self {
            Self::Policy { policy, .. } => Some(policy),
            Self::Chain(_) => None,
        }
    }
}

fn logprobs(mut scores: Box<dyn Logits>, id: u32, count: u32) -> Result<TokenLogprobs, EngineError> {
    let top = if count > 0 { scores.top(count)? } else { Vec::new() };
    let logprob = match top.iter().find(|(token, _)| *token == id) {
        Some(&(_, logprob)) => logprob,
        None => scores.logprobs(&[id])?.first().copied().unwrap_or(f32::NEG_INFINITY),
    };
    Ok(TokenLogprobs { logprob, top })
}

fn text_failed(error: wasmlx_text::TextError) -> EngineError {
    EngineError::new(EngineErrorKind::TextFailed, error)
}

fn broken_rule(what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::PolicyFailed, format!("the sampling policy broke its rules: {what}"))
}
