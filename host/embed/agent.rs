//! Agents at work.

use std::sync::Arc;

use tokio::runtime::Handle;
use wasmlx_components::{AgentComponent, AgentEvent, AgentSetup, ComponentKind};

use super::blocking;
use super::cancel::Canceller;
use super::chat_builder::ChatBuilder;
use super::chat_server::ChatServer;
use super::components::ComponentRef;
use super::error::Result;
use super::event::{Event, no_end};
use super::report::{FinishReason, Tally};

/// An agent at work, made by [`ChatBuilder::run_agent`]. Dropping it ends it at once; what it has changed in the world
/// by then stays.
pub struct AgentRun {
    run: wasmlx_components::AgentRun,
    server: Arc<ChatServer>,
}

impl ChatBuilder {
    /// Runs an agent in place of a conversation, with the model, the template, the sampler, the tools and the grants of
    /// this builder. What it keeps in key-value spaces lies under the host's home, by the component's name.
    ///
    /// # Errors
    /// As [`ChatBuilder::build`]. What fails in the run is its last event.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which must have its I/O and time enabled: the agent runs as a task on it.
    pub async fn run_agent(
        self,
        agent: impl Into<ComponentRef>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<AgentRun> {
        let (agent, model) = (agent.into(), self.model().clone());
        let setup = AgentSetup {
            arguments: arguments.into_iter().map(Into::into).collect(),
            // What may not be written is not kept.
            key_value: Some(model.host().home().join("key-value")).filter(|_| !model.host().store().is_read_only()),
            surroundings: None,
        };
        let runtime = Handle::current();
        let load = move || Ok(AgentComponent::new(&model.host().components().load(&agent, ComponentKind::Agent)?)?);
        let component = blocking::spawn("wasmlx-components", load).await?;
        let server = self.serve().await?;
        server.granted().load(server.model(), component.component()).await?;
        server.begin(Tally::start(server.settings().logprobs.is_some()));
        let run = wasmlx_components::AgentRun::start(&runtime, component, setup, server.clone());
        Ok(AgentRun { run, server })
    }
}

impl AgentRun {
    /// The next event: [`Event::Content`] with what the agent says, and at its end [`Event::Finished`] with a report of
    /// all that was generated for it; none after that or an error. It may be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        Some(match self.run.next().await? {
            Ok(AgentEvent::Output(text)) => Ok(Event::Content(text)),
            Ok(AgentEvent::Done) => {
                self.server.end().map(|tally| Event::Finished(tally.report(FinishReason::Stop))).ok_or_else(no_end)
            }
            Err(error) => Err(error.into()),
        })
    }

    /// Ends it at once: its last event is then an error of the kind
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancel(&self) {
        self.run.cancel();
    }

    /// Does the same from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.run.canceller().into()
    }
}
