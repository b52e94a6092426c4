//! A generation as a chat component sees it: tokens come in, what they mean goes out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wasmlx_engine::{DeviceWork, Event, Finished, Generation};

use crate::budget::Budget;
use crate::chat_state::blocking;
use crate::conversation::{FinishReason, Output, Usage};
use crate::template::Parser;
use crate::token_budget::Reservation;
use crate::{ChatHost, ComponentError, Round};

/// The most events taken from the engine at once. More come only where the reader was slow.
const BATCH: usize = 256;

/// What a generation gives its component.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Generated {
    Output(Output),
    Finished { reason: FinishReason, usage: Usage },
}

/// A generation whose text the session's template reads.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct HeldGeneration {
    /// None where a script has taken its place.
    generation: Option<Generation>,
    /// None while it reads elsewhere, and for good once it has failed.
    parser: Option<Parser>,
    /// Of the session's tokens a minute, where they are limited.
    reservation: Option<Reservation>,
    ready: VecDeque<Generated>,
    ended: bool,
    /// Whether it is read to its end before it gives anything, and given in as few pieces as may be. How many pieces
    /// come at a time is chance otherwise.
    is_recorded: bool,
}

impl HeldGeneration {
    pub(crate) fn new(
        generation: Generation,
        parser: Parser,
        reservation: Option<Reservation>,
        is_recorded: bool,
    ) -> Self {
        let (generation, parser) = (Some(generation), Some(parser));
        Self { generation, parser, reservation, ready: VecDeque::new(), ended: false, is_recorded }
    }

    /// One that gives nothing.
    pub(crate) fn empty() -> Self {
        let ready = VecDeque::new();
        Self { generation: None, parser: None, reservation: None, ready, ended: true, is_recorded: false }
    }

    /// What a script has in the place of one.
    pub(crate) fn scripted(Round { outputs, finish, usage }: Round) -> Self {
        let end = Generated::Finished { reason: finish, usage };
        let ready = outputs.into_iter().map(Generated::Output).chain([end]).collect();
        Self { ready, ..Self::empty() }
    }

    /// What the device does for it; none where a script has taken its place.
    pub(crate) fn work(&self) -> Option<DeviceWork> {
        self.generation.as_ref().map(Generation::work)
    }

    /// Lets it end as cancelled.
    pub(crate) fn cancel(&self) {
        if let Some(generation) = &self.generation {
            generation.cancel();
        }
    }

    /// Waits for one event and takes what else is there, up to `max`, at least 1; empty after the last.
    pub(crate) async fn next_batch(
        &mut self,
        max: usize,
        host: &dyn ChatHost,
        budget: &mut Budget,
    ) -> wasmtime::Result<Result<Vec<Generated>, ComponentError>> {
        while (self.ready.is_empty() || self.is_recorded) && !self.ended {
            let Some(generation) = &mut self.generation else { break };
            let events = generation.next_batch(BATCH).await;
            let read = match events {
                Ok(events) => self.read(events, host, budget).await?,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = read {
                self.ended = true;
                self.cancel();
                return Ok(Err(error));
            }
        }
        if std::mem::take(&mut self.is_recorded) {
            self.ready = joined(std::mem::take(&mut self.ready));
        }
        let count = self.ready.len().min(max);
        Ok(Ok(self.ready.drain(..count).collect()))
    }

    /// Has the template read the text of some events. That is done off this thread, since a template may compute for
    /// as long as it is allowed; tokens that come meanwhile are in the next batch.
    async fn read(
        &mut self,
        events: Vec<Event>,
        host: &dyn ChatHost,
        budget: &mut Budget,
    ) -> wasmtime::Result<Result<(), ComponentError>> {
        let mut answer = String::new();
        let mut end = None;
        for event in events {
            host.observe(&event);
            match event {
                Event::Token { text, .. } => answer.push_str(&text),
                Event::Finished(Finished { reason, usage, .. }) => {
                    if let Some(reservation) = self.reservation.take() {
                        let read = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
                        reservation.settle(read + usage.completion_tokens);
                    }
                    end = Some((reason.into(), usage.into()));
                }
            }
        }
        let is_end = end.is_some();
        self.ended |= is_end;
        if (is_end || !answer.is_empty())
            && let Some(mut parser) = self.parser.take()
        {
            let read = blocking(budget, move || {
                let mut outputs = if answer.is_empty() { Vec::new() } else { parser.push(&answer)? };
                if is_end {
                    outputs.extend(parser.finish()?);
                }
                Ok((parser, outputs))
            });
            match read.await? {
                Ok((parser, outputs)) => {
                    self.parser = Some(parser);
                    self.ready.extend(outputs.into_iter().map(Generated::Output));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        self.ready.extend(end.map(|(reason, usage)| Generated::Finished { reason, usage }));
        Ok(Ok(()))
    }
}

/// The same with neighbours of a kind as one piece.
fn joined(events: VecDeque<Generated>) -> VecDeque<Generated> {
    let mut joined: VecDeque<Generated> = VecDeque::new();
    for event in events {
        match (joined.back_mut(), event) {
            (Some(Generated::Output(last)), Generated::Output(output)) => {
                let other = last.join(output);
                joined.extend(other.map(Generated::Output));
            }
            (_, event) => joined.push_back(event),
        }
    }
    joined
}
