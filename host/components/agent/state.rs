//! What the host keeps beside an agent's instance.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::console::{Console, Stderr};
use super::http::Outgoing;
use super::key_value::Spaces;
use super::surroundings::Surroundings;
use crate::chat_state::ChatState;
use crate::guest_log::GuestLog;
use crate::v0_1::logging::Logs;
use crate::{ComponentError, ComponentErrorKind, Permissions};

/// The most streams, files, requests and the like that an agent has at once.
const MOST_RESOURCES: usize = 1024;

/// The most random bytes of one call.
const RANDOM_BYTES: u64 = 64 << 10;

/// The state of an agent's store.
pub(crate) struct AgentState {
    pub(crate) session: ChatState,
    pub(crate) console: Console,
    pub(crate) spaces: Spaces,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    table: ResourceTable,
}

impl AgentState {
    /// The state of a new instance, with all that it is given, on this machine or a made-up one. Touches the disk.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Io`] for a granted folder that cannot be opened.
    pub(super) fn new(
        session: ChatState,
        console: Console,
        spaces: Spaces,
        surroundings: Option<&Surroundings>,
    ) -> Result<Self, ComponentError> {
        let permissions = Arc::new(session.permissions.clone());
        let wasi = wasi(&permissions, &console, &session.guest_log, surroundings)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let (http, outgoing) = (WasiHttpCtx::new(), Outgoing::new(permissions, session.host.tape()));
        Ok(Self { session, console, spaces, wasi, http, outgoing, table })
    }
}

/// Standard streams, and the folders and variables that are given. Nothing of the network, whatever is imported: HTTP
/// has a way of its own.
fn wasi(
    permissions: &Permissions,
    console: &Console,
    log: &GuestLog,
    surroundings: Option<&Surroundings>,
) -> Result<WasiCtx, ComponentError> {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(console.clone())
        .stderr(Stderr::new(log))
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if let Some(surroundings) = surroundings {
        surroundings.surround(&mut wasi);
    }
    for name in permissions.environment() {
        let value = match surroundings {
            Some(surroundings) => surroundings.environment.get(name).cloned(),
            // One that is not set, or no text, is not there for the agent either.
            None => std::env::var(name).ok(),
        };
        if let Some(value) = value {
            wasi.env(name, value);
        }
    }
    for given in permissions.folders() {
        let rights = if given.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(given.folder, given.name, rights).map_err(|error| {
            let message = format!("cannot open the granted folder {}: {error}", given.folder.display());
            ComponentError::new(ComponentErrorKind::Io, "", message)
        })?;
    }
    Ok(wasi.build())
}

impl Logs for AgentState {
    fn guest_log(&self) -> &GuestLog {
        &self.session.guest_log
    }
}

impl WasiView for AgentState {
    /// Asked for at each call of WASI.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.session.budget.called(Instant::now());
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for AgentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.session.budget.called(Instant::now());
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}
