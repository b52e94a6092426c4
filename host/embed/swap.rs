//! Putting a component into a slot of a running host.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmlx_components::Component;

use super::blocking;
use super::cases::{self, CaseOutcome, TestReport};
use super::components::{ComponentRef, cases_folder};
use super::error::{Error, ErrorKind, Result};
use super::host::Host;
use super::slot_events::SlotEvent;
use super::slots::{Occupant, OccupiedSeat, Slot};

/// How many turns a component is on trial after a swap, where nobody says.
pub const DEFAULT_TRIAL_TURNS: u32 = 3;

/// How a component is to be put into a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapOptions {
    force: bool,
    trial_turns: u32,
}

impl Default for SwapOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SwapOptions {
    /// With its own cases run, and [`DEFAULT_TRIAL_TURNS`] turns on trial.
    pub fn new() -> Self {
        Self { force: false, trial_turns: DEFAULT_TRIAL_TURNS }
    }

    /// Whether to put it in without running its own cases.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// In how many of its first turns a breakdown turns the slot back; 0: in none.
    #[must_use]
    pub fn trial_turns(mut self, turns: u32) -> Self {
        self.trial_turns = turns;
        self
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.force
    }
}

/// What the command of [`HostBuilder::compiler`](crate::HostBuilder::compiler) does: reads a component from `input` and
/// writes what it compiles to. Lowers the priority of its process.
///
/// # Errors
/// [`ErrorKind::Io`]. That it is no valid component is part of what is written.
pub fn compile_component(input: impl Read, output: impl Write) -> Result<()> {
    wasmlx_components::compile(input, output)
        .map_err(|error| Error::new(ErrorKind::Io, format_args!("the component cannot be read or answered: {error}")))
}

/// What a swap came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwapReport {
    /// The component's name.
    pub component: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// What its own cases came to, where it has any and they were run.
    pub cases: Option<TestReport>,
    /// How long it took to load, compilation included where it was compiled.
    pub load_time: Duration,
    /// How many chats go on with it from their next turn.
    pub chats: usize,
    /// Why other chats stay with what they have. A chat in the middle of a turn may still find a reason at its end:
    /// that is a [`SlotEvent::Declined`].
    pub declined: Vec<Error>,
}

/// A component that may be put into a slot.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    cases: Option<TestReport>,
    load_time: Duration,
}

impl Loaded {
    /// What came of it where so many chats take it.
    pub(crate) fn report(self, chats: usize) -> SwapReport {
        SwapReport {
            component: self.component.name().to_owned(),
            digest: self.component.digest().to_owned(),
            cases: self.cases,
            load_time: self.load_time,
            chats,
            declined: Vec::new(),
        }
    }
}

/// Loads a component, out of the way of what runs, and runs its own cases unless that is not wanted.
///
/// # Errors
/// `NotFound`, `InvalidComponent`; `CasesFailed` tells which of its cases do not come out.
pub(crate) async fn load(host: &Host, slot: Slot, component: ComponentRef, force: bool) -> Result<Loaded> {
    let host = host.clone();
    let load = move || {
        let started = Instant::now();
        let loaded = host.components().load_aside(&component, slot.kind())?;
        let load_time = started.elapsed();
        let cases = match cases_folder(&component) {
            Some(folder) if !force => Some(passed(cases::run(&loaded, &folder)?, "force the swap (`--force`)")?),
            _ => None,
        };
        Ok(Loaded { component: loaded, cases, load_time })
    };
    blocking::spawn("wasmlx-swap", load).await
}

/// A seat for an occupant that takes the place of `before`.
pub(crate) fn seat(occupant: Occupant, options: &SwapOptions, before: &Arc<OccupiedSeat>) -> Arc<OccupiedSeat> {
    Arc::new(OccupiedSeat::on_trial(occupant, options.trial_turns, Arc::clone(before)))
}

/// Tells that it sits there.
pub(crate) fn announce(host: &Host, slot: Slot, before: &OccupiedSeat, seat: &OccupiedSeat) {
    let [from, to] = [before, seat].map(|seat| seat.value().name(slot).to_owned());
    host.announcer().tell(SlotEvent::Swapped { slot, from, to });
}

impl Host {
    /// Puts a component into a slot of all chats, those to come included: [`Host::swap_with`] with the usual options.
    ///
    /// # Errors
    /// As [`Host::swap_with`].
    pub async fn swap(&self, slot: Slot, component: impl Into<ComponentRef>) -> Result<SwapReport> {
        self.swap_with(slot, component, SwapOptions::new()).await
    }

    /// Puts a component into a slot of all chats of this host while they run, those to come included. Chats that were
    /// given a component of their own for the slot keep that.
    ///
    /// 1. The component is compiled out of the way of what runs, if it is not in the cache.
    /// 2. Its own cases are run, where it has a folder `cases` beside it.
    /// 3. Each chat sees whether it can take it: whether a template takes its model, a sampler its parameters.
    /// 4. One pointer is turned. Turns that run end with what they began with; each chat takes the component with its
    ///    next turn.
    /// 5. A chat component is handed what the one before it saved. A chat whose state it refuses stays with the old
    ///    one.
    ///
    /// If the component breaks down in its first turns (it traps, or exceeds its time or memory), the turn fails with
    /// that error and the slot goes back to what sat there before; see [`SwapOptions::trial_turns`] and
    /// [`SlotEvent::TurnedBack`]. A chat component gets what it had saved before the swap; the messages since are in
    /// the chat's log. After these turns a chat that has had fewer of its own goes back alone. What the model, the user
    /// or another component did wrong turns nothing back.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; `CasesFailed`; what every chat has against it, where all have. Then the old one
    /// stays.
    pub async fn swap_with(
        &self,
        slot: Slot,
        component: impl Into<ComponentRef>,
        options: SwapOptions,
    ) -> Result<SwapReport> {
        let loaded = load(self, slot, component.into(), options.is_forced()).await?;
        let _one_at_a_time = self.swapping().await;
        let pointer = self.slots().of(slot);
        let before = pointer.current();
        let seat = seat(Occupant::Component(loaded.component.clone()), &options, &before);

        let chats: Vec<_> = self.chats().into_iter().filter(|chat| chat.places().follows(slot)).collect();
        let (preparing, prepared_for) = (chats.clone(), Arc::clone(&seat));
        let prepare = move || Ok(preparing.iter().map(|chat| chat.places().prepare(slot, &prepared_for)).collect());
        let prepared: Vec<Result<()>> = blocking::spawn("wasmlx-swap", prepare).await?;
        if let (Some(Err(error)), false) = (prepared.first(), prepared.iter().any(Result::is_ok)) {
            return Err(error.clone());
        }

        pointer.swap(Arc::clone(&seat)).end_trial();
        announce(self, slot, &before, &seat);

        let mut report = loaded.report(chats.len());
        for (chat, prepared) in chats.iter().zip(prepared) {
            let taken = match prepared {
                Ok(()) if slot == Slot::Chat => chat.move_now().await,
                Err(error) => {
                    chat.places().decline(slot, &seat, error.clone());
                    Err(error)
                }
                Ok(()) => Ok(()),
            };
            report.declined.extend(taken.err());
        }
        report.chats -= report.declined.len();
        Ok(report)
    }
}

/// The report of cases that all came out; `otherwise` is a way out for who goes on though they do not.
///
/// # Errors
/// Which did not, and how.
pub(crate) fn passed(report: TestReport, otherwise: &str) -> Result<TestReport> {
    if report.failed() == 0 {
        return Ok(report);
    }
    let mut message =
        format!("{} fails {} of its own {} cases:", report.component, report.failed(), report.cases.len());
    for case in &report.cases {
        if let CaseOutcome::Failed { expected, got } = &case.outcome {
            let _ = write!(message, "\n{}: {}", case.file, case.name);
            for (what, text) in [("expected", expected), ("got", got)] {
                let lines = text.lines().map(|line| format!("\n    {line}")).collect::<String>();
                let _ = write!(message, "\n  {what}:{lines}");
            }
        }
    }
    let hint = format_args!("mend the component or its cases, or {otherwise}");
    Err(Error::new(ErrorKind::CasesFailed, message).with_hint(hint))
}
