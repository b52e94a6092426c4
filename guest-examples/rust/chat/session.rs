//! What lasts from turn to turn.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::bindings::wasmlx::runner::types::{Error, Message, Saved};
use crate::config::Config;
use crate::host::Host;

/// Of the bytes that [`Session::save`] writes: the last call's number, little-endian.
const VERSION: u32 = 1;

pub(crate) struct Session<H: Host> {
    pub(crate) host: H,
    pub(crate) config: Config,
    /// One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
    pub(crate) context: RefCell<Option<H::Context>>,
    /// The number in the last tool call's id.
    last_call: Cell<u32>,
    /// Alive while a turn runs.
    turn: RefCell<Weak<()>>,
}

impl<H: Host> Session<H> {
    pub(crate) fn open(host: H, config: &str) -> Result<Self, Error> {
        Ok(Self {
            host,
            config: Config::parse(config)?,
            context: RefCell::new(None),
            last_call: Cell::new(0),
            turn: RefCell::new(Weak::new()),
        })
    }

    /// Lets a turn run for as long as it holds what it is given.
    pub(crate) fn admit(&self) -> Result<Rc<()>, Error> {
        if self.turn.borrow().upgrade().is_some() {
            return Err(Error::InvalidInput(
                "a turn is running: read it to its end, or drop it, before the next".into(),
            ));
        }
        let admission = Rc::new(());
        self.turn.replace(Rc::downgrade(&admission));
        Ok(admission)
    }

    /// An id that no other call of the session has.
    pub(crate) fn new_call_id(&self) -> String {
        self.last_call.set(self.last_call.get().saturating_add(1));
        format!("call_{}", self.last_call.get())
    }

    /// Keeps clear of ids that are in the log, which may be older than this instance.
    pub(crate) fn skip_call_ids(&self, messages: &[Message]) {
        let ids = messages.iter().flat_map(|message| &message.tool_calls);
        let numbers = ids.filter_map(|call| call.id.strip_prefix("call_")?.parse().ok());
        self.last_call.set(numbers.max().unwrap_or(0).max(self.last_call.get()));
    }

    pub(crate) fn save(&self) -> Saved {
        Saved { version: VERSION, bytes: self.last_call.get().to_le_bytes().into() }
    }

    pub(crate) fn restore(host: H, config: &str, saved: &Saved) -> Result<Self, Error> {
        let session = Self::open(host, config)?;
        match (saved.version, <[u8; 4]>::try_from(saved.bytes.as_slice())) {
            (VERSION, Ok(bytes)) => session.last_call.set(u32::from_le_bytes(bytes)),
            _ => return Err(Error::InvalidInput("this is no saved state of the plain chat, version 1".into())),
        }
        Ok(session)
    }
}
