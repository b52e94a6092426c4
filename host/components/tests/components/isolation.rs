//! No instance sees what another wrote: every place of a pool is filled with a secret, given back, and searched by the
//! next that have it, in memories, tables and globals, on both `wasmtime::Engine`s.

use std::sync::Arc;
use std::time::Duration;

use wasmlx_backend::fake::FakeScript;
use wasmlx_components::{
    ChatComponent, ChatSession, Component, ComponentError, ComponentErrorKind, Limits, MessageLog, PolicyComponent,
    Runtime, Template,
};

use crate::chats::{self, TestHost};
use crate::guests::{GOOD, Guest, component, runtime_with};
use crate::policies::vocabulary;

/// How many instances there may be: few, so that all places are taken at once, each with as many memories as an
/// instance may have.
const PLACES: usize = 4;

/// What a guest is told to do with its secret.
const HIDE: &str = "h";
const LOOK: &str = "l";
const BOTH: &str = "b";

fn small_runtime() -> Runtime {
    let patient = Duration::from_secs(10);
    runtime_with(Limits {
        instances: PLACES as u32,
        template_call: patient,
        policy_setup: patient,
        chat_slice: patient,
        ..Limits::default()
    })
}

/// Fills every place, and lets as many instances look as there are places: of the same component, whose places are
/// mapped as before, and of another.
fn no_secret_is_found<T>(
    world: &str,
    name: &'static str,
    guest: &str,
    instance: impl Fn(&Component, &'static str) -> Result<T, ComponentError>,
) {
    let runtime = small_runtime();
    let text = Guest { special: Some(name), ..GOOD }.module(guest);
    let load = |text: &str| runtime.load(guest, &component(text, world, "0.1.0")).unwrap();
    let (same, other) = (load(&text), load(&text.replace("0x5e)", "0x5f)")));
    assert_ne!(same.digest(), other.digest());
    // Whoever looks where there is a secret finds it.
    let found = instance(&same, BOTH).err().expect("a secret of one's own is found");
    assert_eq!(found.kind(), ComponentErrorKind::Trapped, "{found}");
    for seeker in [&same, &other] {
        let full: Vec<T> = (0..PLACES).map(|_| instance(&same, HIDE).unwrap()).collect();
        let error = instance(&same, HIDE).err().expect("every place is taken");
        assert_eq!(error.kind(), ComponentErrorKind::OutOfMemory, "{error}");
        drop(full);
        let seekers: Result<Vec<T>, _> = (0..PLACES).map(|_| instance(seeker, LOOK)).collect();
        assert_eq!(seekers.unwrap().len(), PLACES);
    }
}

#[test]
fn of_templates() {
    no_secret_is_found("prompt-template", "secret-of-a-template", "template", Template::new);
}

#[test]
fn of_policies() {
    no_secret_is_found("sampling-policy", "secret-of-a-policy", "policy", |component, what| {
        PolicyComponent::new(component)?.instantiate(what, None, &vocabulary())
    });
}

#[test]
fn of_chats() {
    let tokio = chats::tokio();
    no_secret_is_found("chat-component", "secret-of-a-chat", "chat", |component, what| {
        let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
        let component = ChatComponent::new(component)?;
        let session =
            ChatSession::start(tokio.handle(), component, what.to_owned(), MessageLog::default(), host.clone());
        // The session keeps its instance, and whoever drops this waits until it is gone.
        let held = Held { session: Some(session), host };
        chats::events(held.session.as_ref().unwrap(), "hello").map(|_| held)
    });
}

/// A session whose end is waited for.
struct Held {
    session: Option<ChatSession>,
    host: Arc<TestHost>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.session = None;
        // The session's task holds the host until it has ended, instance and all.
        while Arc::strong_count(&self.host) > 1 {
            std::thread::yield_now();
        }
    }
}
