//! Interface `logging`: lines for whoever runs the component.
//!
//! Linked by hand, not by the bindings, which would copy a message of any length before it could be looked at.

use wasmtime::component::{ComponentType, Lift, Linker, WasmStr};
use wasmtime::{Result, StoreContextMut};

use crate::guest_log::{self, GuestLog};

/// A store's state whose guest may log.
pub(crate) trait Logs {
    fn guest_log(&self) -> &GuestLog;
}

#[allow(dead_code, reason = "guests make them")]
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// Gives the guests of a linker the interface. A call of it counts as the guest's own compute, and begins no new slice.
pub(crate) fn link<T: Logs + 'static>(linker: &mut Linker<T>) -> Result<()> {
    linker.instance("wasmlx:runner/logging@0.1.0")?.func_wrap(
        "log",
        |store: StoreContextMut<'_, T>, (level, message): (Level, WasmStr)| {
            let (log, level) = (store.data().guest_log(), level.into());
            if log.wants(level) {
                log.write(level, &message.to_str(&store)?);
            }
            Ok(())
        },
    )
}

impl From<Level> for guest_log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}
