//! The three slots, and what sits in them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use wasmlx_components::{Component, ComponentKind, Seat, Slot as Pointer};
use wasmlx_engine::Chain;

use super::chat_builder::DEFAULT_CHAT;
use super::error::{Error, ErrorKind};
use super::sampler::DEFAULT_POLICY;

/// A place that a component sits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// What writes prompts and reads answers.
    Template,
    /// What chooses the tokens.
    Sampler,
    /// What runs the conversation.
    Chat,
}

impl Slot {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Template, Self::Sampler, Self::Chat];

    /// Its name: `template`, `sampler`, `chat`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Sampler => "sampler",
            Self::Chat => "chat",
        }
    }

    /// The kind of component that it takes.
    pub(crate) fn kind(self) -> ComponentKind {
        match self {
            Self::Template => ComponentKind::Template,
            Self::Sampler => ComponentKind::Policy,
            Self::Chat => ComponentKind::Chat,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Slot {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|slot| slot.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidInput, format_args!("there is no slot `{name}`: there are {names}"))
        })
    }
}

/// What sits in a slot.
#[derive(Debug, Clone)]
pub(crate) enum Occupant {
    /// What nobody has to ask for. For a template it depends on the model.
    Default,
    /// The host's own chain, in place of a sampler.
    Native(Chain),
    /// A component that is loaded.
    Component(Component),
}

impl Occupant {
    /// What it is called where it sits.
    pub(crate) fn name(&self, slot: Slot) -> &str {
        match (self, slot) {
            (Self::Component(component), _) => component.name(),
            (Self::Native(_), _) => "native",
            (Self::Default, Slot::Template) => "the model's own template",
            (Self::Default, Slot::Sampler) => DEFAULT_POLICY,
            (Self::Default, Slot::Chat) => DEFAULT_CHAT,
        }
    }
}

/// The stay of an occupant in a slot.
pub(crate) type OccupiedSeat = Seat<Occupant>;

/// The pointer that a swap turns.
pub(crate) type SlotPointer = Arc<Pointer<OccupiedSeat>>;

/// The pointer of a slot whose first occupant is this.
pub(crate) fn pointer(occupant: Occupant) -> SlotPointer {
    Arc::new(Pointer::new(Arc::new(Seat::new(occupant))))
}

/// The slots that all chats of a host share.
pub(crate) struct Slots([SlotPointer; 3]);

impl Slots {
    /// What nobody has to ask for in each.
    pub(crate) fn new() -> Self {
        Self(Slot::ALL.map(|_| pointer(Occupant::Default)))
    }

    /// The pointer of a slot.
    pub(crate) fn of(&self, slot: Slot) -> &SlotPointer {
        let [template, sampler, chat] = &self.0;
        match slot {
            Slot::Template => template,
            Slot::Sampler => sampler,
            Slot::Chat => chat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_known_by_name() {
        for slot in Slot::ALL {
            assert_eq!(slot.to_string().parse::<Slot>().unwrap(), slot);
        }
        assert_eq!("engine".parse::<Slot>().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
