//! Cases of agents: a run each, in a world that the case describes, with a script in the place of a model.

use std::sync::Arc;

use serde_json::{Map, Value};
use wasmlx_components::{AgentComponent, AgentEvent, AgentRun, AgentSetup, Component};

use super::case_host::CaseHost;
use super::surroundings::{Texts, World, texts};
use super::{Case, CaseOutcome, field, lines, runtime};

pub(super) fn run(component: &Component, case: &Case) -> Result<CaseOutcome, String> {
    let world = World::of(component, case)?;
    let host = Arc::new(CaseHost::new(component, case)?.granting(world.grants.clone()));
    let outcome = play(component, case, &world, &host)?;
    if let Some(part) = field::<String>(case, "error")? {
        let got = outcome.error.clone().map_or_else(|| Ok(outcome.told()), Err);
        return Ok(CaseOutcome::of_error(&part, got));
    }
    Ok(CaseOutcome::of(Outcome::of_case(case)?.told(), outcome.told()).or(host.unasked()))
}

/// What a run comes to.
struct Outcome {
    printed: String,
    /// The folders that may be written, and the key-value spaces, after it.
    written: Texts,
    kept: Texts,
    error: Option<String>,
}

/// Runs an agent to its end.
fn play(component: &Component, case: &Case, world: &World, host: &Arc<CaseHost>) -> Result<Outcome, String> {
    let agent = AgentComponent::new(component).map_err(|error| error.to_string())?;
    let setup = AgentSetup {
        arguments: field(case, "args")?.unwrap_or_default(),
        key_value: Some(world.key_value()),
        surroundings: Some(world.surroundings.clone()),
    };
    let runtime = runtime()?;
    let mut run = AgentRun::start(runtime.handle(), agent, setup, host.clone());
    let (mut printed, mut error) = (String::new(), None);
    runtime.block_on(async {
        while let Some(event) = run.next().await {
            match event {
                Ok(AgentEvent::Output(text)) => printed.push_str(&text),
                Ok(AgentEvent::Done) => {}
                Err(failed) => error = Some(failed.to_string()),
            }
        }
    });
    Ok(Outcome { printed, written: world.written()?, kept: world.kept()?, error })
}

impl Outcome {
    /// What a case expects. What it does not name stays as it was.
    fn of_case(case: &Case) -> Result<Self, String> {
        let after = |name, before| if case.contains_key(name) { texts(case, name) } else { texts(case, before) };
        Ok(Self {
            printed: field(case, "printed")?.unwrap_or_default(),
            written: after("written", "write")?,
            kept: after("kept", "kv")?,
            error: None,
        })
    }

    /// In words, so that two can be compared line by line.
    fn told(&self) -> String {
        let mut told = self.printed.clone();
        let mut changed = Map::new();
        for (name, texts) in [("written", &self.written), ("kept", &self.kept)] {
            if !texts.is_empty() {
                changed.insert(name.to_owned(), serde_json::to_value(texts).unwrap_or(Value::Null));
            }
        }
        if !changed.is_empty() {
            told.push_str(&format!("\n{}", lines(&changed)));
        }
        if let Some(error) = &self.error {
            told.push_str(&format!("\nerror: {error}"));
        }
        told
    }
}
