//! Cases of agents: a run each, in a world that the case describes, with a script in the place of a model.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasmlx_components::{AgentComponent, AgentEvent, AgentRun, AgentSetup, Component};
use wasmlx_engine::CancelToken;

use super::case_host::CaseHost;
use super::surroundings::{Texts, World, texts};
use super::{Case, CaseOutcome, block_on, field, lines, refuse_beside_error, refuse_unknown, runtime};

const FIELDS: [&str; 14] = [
    "name", "args", "read", "write", "kv", "env", "now", "tools", "results", "script", "printed", "written", "kept",
    "error",
];

/// The most bytes that a run may print.
const PRINTED_BYTES: usize = 64 << 20;

pub(super) fn run(
    component: &Component,
    case: &Case,
    mended: &mut Case,
    cancel: &CancelToken,
) -> Result<CaseOutcome, String> {
    if let Some(name) = ["http", "store"].into_iter().find(|name| case.contains_key(*name)) {
        return Err(format!(
            "`{name}` is for a cassette to be recorded; a case that is written by hand has no network and no store"
        ));
    }
    refuse_unknown("it", case, &FIELDS)?;
    refuse_beside_error(case, &["printed", "written", "kept"])?;
    let world = World::of(component, case)?;
    let host = Arc::new(CaseHost::scripted(component, case)?.granting(world.grants.clone()));
    let outcome = play(component, case, &world, &host, cancel)?;
    if let Some(part) = field::<String>(case, "error")? {
        let got = outcome.error.clone().map_or_else(|| Ok(outcome.told()), Err);
        return Ok(CaseOutcome::of_error(&part, got, mended));
    }
    let expected = Outcome::of_case(case)?;
    if outcome.error.is_none() && expected.told() != outcome.told() {
        mended.extend(outcome.written_beside(&expected));
    }
    Ok(CaseOutcome::of(expected.told(), outcome.told()).or(host.unasked()))
}

/// What comes of a run that is recorded or played.
pub(super) fn perform(
    component: &Component,
    case: &Case,
    host: CaseHost,
    cancel: &CancelToken,
) -> Result<Value, String> {
    let world = World::of(component, case)?;
    let host = Arc::new(host.granting(world.grants.clone()));
    let Outcome { printed, written, kept, error } = play(component, case, &world, &host, cancel)?;
    let mut outcome = Map::from_iter([("printed".to_owned(), split(&printed))]);
    for (name, texts) in [("written", written), ("kept", kept)] {
        if !texts.is_empty() {
            outcome.insert(name.to_owned(), json!(texts));
        }
    }
    outcome.extend(error.map(|error| ("error".to_owned(), error.into())));
    Ok(Value::Object(outcome))
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
fn play(
    component: &Component,
    case: &Case,
    world: &World,
    host: &Arc<CaseHost>,
    cancel: &CancelToken,
) -> Result<Outcome, String> {
    let agent = AgentComponent::new(component).map_err(|error| error.to_string())?;
    let setup = AgentSetup {
        arguments: field(case, "args")?.unwrap_or_default(),
        key_value: Some(world.key_value()),
        surroundings: Some(world.surroundings.clone()),
    };
    let runtime = runtime()?;
    let mut run = AgentRun::start(runtime.handle(), agent, setup, host.clone());
    let (mut printed, mut error) = (String::new(), None);
    block_on(&runtime, cancel, async {
        while let Some(event) = run.next().await {
            match event {
                // It was ended below, and all that comes is its end.
                _ if error.is_some() => {}
                Ok(AgentEvent::Output(text)) if printed.len() + text.len() <= PRINTED_BYTES => printed.push_str(&text),
                Ok(AgentEvent::Output(_)) => {
                    error = Some(format!("it printed more than {} MiB", PRINTED_BYTES >> 20));
                    run.cancel();
                }
                Ok(AgentEvent::Done) => {}
                Err(failed) => error = Some(failed.to_string()),
            }
        }
    })?;
    Ok(Outcome { printed, written: world.written()?, kept: world.kept()?, error })
}

impl Outcome {
    /// What a case expects. What it does not name stays as it was.
    fn of_case(case: &Case) -> Result<Self, String> {
        let after = |name, before| if case.contains_key(name) { texts(case, name) } else { texts(case, before) };
        Ok(Self {
            printed: field::<Printed>(case, "printed")?.map(Printed::text).unwrap_or_default(),
            written: after("written", "write")?,
            kept: after("kept", "kv")?,
            error: None,
        })
    }

    /// The fields of a case that are another thing than is expected.
    fn written_beside(&self, expected: &Self) -> Case {
        let mut fields = Case::new();
        if self.printed != expected.printed {
            fields.insert("printed".to_owned(), self.printed.as_str().into());
        }
        for (name, texts, wanted) in
            [("written", &self.written, &expected.written), ("kept", &self.kept, &expected.kept)]
        {
            if texts != wanted {
                fields.insert(name.to_owned(), json!(texts));
            }
        }
        fields
    }

    /// In words, so that two can be compared line by line.
    fn told(&self) -> String {
        let mut told = self.printed.clone();
        if !told.is_empty() && !told.ends_with('\n') {
            told.push_str("\n(no newline)\n");
        }
        let mut changed = Map::new();
        for (name, texts) in [("written", &self.written), ("kept", &self.kept)] {
            if !texts.is_empty() {
                changed.insert(name.to_owned(), json!(texts));
            }
        }
        if !changed.is_empty() {
            told.push_str(&lines(&changed));
        }
        if let Some(error) = &self.error {
            told.push_str(&format!("error: {error}"));
        }
        told
    }
}

/// What is printed: a text, or its lines, each with its end.
#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Text(String),
    Lines(Vec<String>),
}

impl Printed {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Lines(lines) => lines.concat(),
        }
    }
}

/// A text as its lines, which a recording has since they can be compared one by one.
fn split(text: &str) -> Value {
    text.split_inclusive('\n').collect()
}
