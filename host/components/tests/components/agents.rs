//! Agents: what is told of a run, and how one ends.

use std::sync::Arc;

use tokio::runtime::Runtime as Tokio;
use wasmlx_backend::fake::FakeScript;
use wasmlx_components::{
    AgentComponent, AgentEvent, AgentRun, AgentSetup, ChatComponent, Component, ComponentError, ComponentErrorKind,
};

use crate::chats::{TestHost, tokio};
use crate::guests::{Attack, GOOD, Guest};

fn start(tokio: &Tokio, component: &Component) -> AgentRun {
    let host = Arc::new(TestHost::new(tokio, FakeScript::new(), GOOD.template()));
    let agent = AgentComponent::new(component).unwrap();
    AgentRun::start(tokio.handle(), agent, AgentSetup::default(), host)
}

/// Runs an agent that says nothing, to its end.
pub(crate) fn run(component: &Component) -> Result<(), ComponentError> {
    let tokio = tokio();
    let mut run = start(&tokio, component);
    tokio.block_on(async {
        let last = run.next().await.expect("a run ends with an event");
        assert!(run.next().await.is_none(), "nothing comes after the end");
        last.map(|event| assert_eq!(event, AgentEvent::Done))
    })
}

#[test]
fn a_component_of_another_world_is_none() {
    let error = AgentComponent::new(&GOOD.chat()).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::WrongKind);
    let error = ChatComponent::new(&GOOD.agent()).unwrap_err();
    assert_eq!(error.to_string(), "component agent: it is an agent; a chat is needed here");
}

#[test]
fn a_run_is_cancelled_at_once() {
    let tokio = tokio();
    // It would be stopped for computing too long, but is not waited for.
    let mut run = start(&tokio, &Guest { place: 1, attack: Attack::Loop, ..GOOD }.agent());
    run.canceller().cancel();
    let error = tokio.block_on(run.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::Cancelled, "{error}");
}
