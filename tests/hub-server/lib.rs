//! A hub and a registry for tests: the real protocols, and every fault on command.
//!
//! [`HubServer`] serves [`Repository`]s as huggingface.co does: `/api/models`, model information, lists of files,
//! `resolve` with its redirections, ranges, and a CDN at an address of its own. [`Fault`]s make it misbehave, and
//! [`HubServer::requests`] tells what was asked of it.

mod access;
mod content;
mod fault;
mod files;
mod http;
mod models;
mod registry;
mod repository;
mod state;

use std::io::{self, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::json;

pub use content::Content;
pub use fault::{Action, Fault};
pub use registry::{Artifact, LOGIN};
pub use repository::Repository;
pub use state::Recorded;

use http::{Body, Conduct, Request, Response};
use state::{Bearer, State};

/// A hub on this machine. It ends when it is dropped, in the midst of answers too.
#[derive(Debug)]
pub struct HubServer {
    state: Arc<State>,
    listeners: Vec<Listener>,
}

impl HubServer {
    /// Starts one on free ports of 127.0.0.1, with no repository.
    ///
    /// # Panics
    /// Where no port can be had.
    pub fn start() -> Self {
        Self::start_at(0).expect("ports of 127.0.0.1 can be had")
    }

    /// Starts one on a port of 127.0.0.1; the CDN is on a free one.
    ///
    /// # Errors
    /// Where the port cannot be had.
    pub fn start_at(port: u16) -> io::Result<Self> {
        let sockets = [TcpListener::bind(("127.0.0.1", port))?, TcpListener::bind(("127.0.0.1", 0))?];
        let url = |socket: &TcpListener| Ok::<_, io::Error>(format!("http://{}", socket.local_addr()?));
        let state = Arc::new(State::new(url(&sockets[0])?, url(&sockets[1])?));
        let [hub, cdn] = sockets;
        let listeners = vec![Listener::start(hub, &state, false)?, Listener::start(cdn, &state, true)?];
        Ok(Self { state, listeners })
    }

    /// The hub's address: what `HF_ENDPOINT` is to name.
    pub fn url(&self) -> &str {
        self.state.hub_url()
    }

    /// The address of its CDN.
    pub fn cdn_url(&self) -> &str {
        self.state.cdn_url()
    }

    /// Serves a repository. One of the same id becomes an older commit.
    pub fn add(&self, repository: Repository) {
        self.state.add(repository);
    }

    /// Has an artifact in its registry, which is at the hub's own address.
    pub fn add_artifact(&self, artifact: Artifact) {
        self.state.add_artifact(artifact);
    }

    /// Goes wrong. Of several faults that are for a request the first takes it.
    pub fn fault(&self, fault: Fault) {
        self.state.add_fault(fault);
    }

    /// Goes well again.
    pub fn clear_faults(&self) {
        self.state.clear_faults();
    }

    /// Knows a token: of somebody who has access to every gated and private repository, or to none.
    pub fn token(&self, token: &str, has_access: bool) {
        self.state.add_token(token, has_access);
    }

    /// Sends at most so many bytes a second on each connection; 0 for as many as it takes.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.state.set_throttle(bytes_per_second);
    }

    /// Puts so many entries on a page of a list; 0 for as many as the hub does.
    pub fn page_size(&self, entries: usize) {
        self.state.set_page_size(entries);
    }

    /// Links to the CDN that were given out are refused from now on.
    pub fn expire_links(&self) {
        self.state.expire_links();
    }

    /// What was asked, in the order in which it came.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log()
    }

    /// Forgets what was asked.
    pub fn clear_requests(&self) {
        self.state.clear_log();
    }

    /// Blocks for as long as the server runs, which is until the process ends.
    pub fn join(mut self) {
        for listener in &mut self.listeners {
            if let Some(thread) = listener.thread.take() {
                // A thread that panicked serves no more either.
                let _ = thread.join();
            }
        }
    }
}

/// A port that is listened to, a thread for each connection.
#[derive(Debug)]
struct Listener {
    port: u16,
    ended: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Listener {
    fn start(socket: TcpListener, state: &Arc<State>, at_cdn: bool) -> io::Result<Self> {
        let port = socket.local_addr()?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (state, end, open) = (Arc::clone(state), Arc::clone(&ended), Arc::clone(&connections));
        let thread = thread::spawn(move || {
            for stream in socket.incoming() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(stream) = stream.try_clone() {
                    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.retain(|stream| stream.peer_addr().is_ok());
                    open.push(stream);
                }
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    // A client that hangs up in the midst of an answer is no fault of the server.
                    let _ = serve(&state, &stream, at_cdn);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(Self { port, ended, connections, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = thread.join();
        for stream in self.connections.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The requests of one connection, one after the other.
fn serve(state: &State, stream: &TcpStream, at_cdn: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream.try_clone()?;
    while let Some(request) = Request::read(&mut reader)? {
        let number = state.record(Recorded {
            method: request.method.clone(),
            path: request.path.clone(),
            range: request.header("range").map(str::to_owned),
            authorization: request.header("authorization").map(str::to_owned),
            at_cdn,
            status: 0,
            sent: 0,
        });
        let fault = state.fault(&request.path);
        if matches!(fault, Some(Action::Silence)) {
            http::wait_for_the_end(&mut stream);
            return Ok(());
        }
        let response = match &fault {
            Some(Action::Status { status, headers }) => {
                let response = Response::json(*status, &json!({"error": "by the test's script"}));
                headers.iter().fold(response, |response, (name, value)| response.header(name, value))
            }
            Some(Action::Redirect(to)) => Response::empty(302).header("Location", to),
            Some(Action::EndlessJson) => Response {
                status: 200,
                headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
                body: Body::Endless,
            },
            _ => answer(state, &request, at_cdn, fault.as_ref()),
        };
        let conduct = conduct(state, fault.as_ref(), &response);
        state.note(number, |recorded| recorded.status = response.status);
        let head_only = request.method == "HEAD";
        let more = http::send(&mut stream, head_only, response, &conduct, |count| {
            state.note(number, |recorded| recorded.sent += count);
        })?;
        if !more {
            return Ok(());
        }
    }
    Ok(())
}

fn answer(state: &State, request: &Request, at_cdn: bool, fault: Option<&Action>) -> Response {
    let parts = request.parts();
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (at_cdn, &names[..]) {
        (true, ["cdn", sha256]) => files::cdn(state, request, sha256, fault),
        (true, ["v2-blobs", digest]) => registry::blob(state, digest),
        (false, ["v2", ..]) => registry::answer(state, request, &parts[1..]),
        (false, ["v2-token"]) => registry::give_token(state, request),
        (false, ["api", "models", ..]) => models::answer(state, request, &parts[2..]),
        (false, ["api", "resolve-cache", "models", owner, name, commit, path @ ..]) => {
            files::small(state, request, (&format!("{owner}/{name}"), commit, &path.join("/")), fault)
        }
        (false, ["api", "whoami-v2"]) => match state.bearer(request) {
            Bearer::Nobody | Bearer::Unknown => access::refusal(401, None, "Invalid username or password."),
            Bearer::Stranger => Response::json(200, &json!({"type": "user", "name": "stranger"})),
            Bearer::Member => Response::json(200, &json!({"type": "user", "name": "member"})),
        },
        (false, [owner, name, "resolve", revision, path @ ..]) => {
            files::resolve(state, request, &format!("{owner}/{name}"), revision, &path.join("/"))
        }
        _ => access::refusal(404, None, "Not Found"),
    }
}

/// How a fault has the answer sent.
fn conduct(state: &State, fault: Option<&Action>, response: &Response) -> Conduct {
    let mut conduct = Conduct { rate: state.throttle(), ..Conduct::default() };
    match fault {
        Some(Action::Drop { after }) => conduct.drop_after = Some(*after),
        Some(Action::Stall { after }) => conduct.stall_after = Some(*after),
        Some(Action::Drip { rate }) => conduct.rate = Some(*rate),
        Some(Action::WrongByte { at }) => conduct.wrong_byte = Some(*at),
        Some(Action::Longer(more)) => conduct.excess = i64::try_from(*more).unwrap_or(i64::MAX),
        Some(Action::Shorter(fewer)) => conduct.excess = i64::try_from(*fewer).map_or(i64::MIN, |fewer| -fewer),
        Some(Action::TornJson) => {
            if let Body::Bytes(bytes) = &response.body {
                conduct.excess = -(bytes.len() as i64 / 2);
            }
        }
        _ => {}
    }
    conduct
}
