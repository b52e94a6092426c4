//! What serves the chats and agents of cases: a script or a tape in the place of a model, or a model whose answers are
//! recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use wasmlx_components::{
    BoxFuture, ChatHost, Component, ComponentError, ComponentErrorKind, FinishReason, GenerateOptions, Grants,
    OfferedTool, Output, Round, Script, StoreView, Tape, TemplateSetup, Tool, TurnEnd, Usage,
};
use wasmlx_engine::{GenerateRequest, Model};

use super::{Case, CaseOutcome, field};
use crate::embed::chat_server::ChatServer;

/// Serves a chat or an agent from what its case says.
pub(super) struct CaseHost {
    answers: Answers,
    tools: Vec<OfferedTool>,
    results: Mutex<HashMap<String, VecDeque<CallResult>>>,
    template: Arc<TemplateSetup>,
    grants: Grants,
    now: u64,
}

/// What answers where a model would.
enum Answers {
    Script(Script),
    Played(Arc<Tape>),
    Recorded(Arc<Tape>, Arc<ChatServer>),
}

/// When cases are run where they do not say: the first second of 2026.
const NOW: u64 = 1_767_225_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundOfCase {
    #[serde(default)]
    outputs: Vec<Output>,
    #[serde(default = "stop")]
    finish: FinishReason,
    #[serde(default)]
    usage: Usage,
}

fn stop() -> FinishReason {
    FinishReason::Stop
}

#[derive(Deserialize)]
struct ToolOfCase {
    #[serde(flatten)]
    tool: Tool,
    #[serde(default)]
    callable: bool,
}

/// What a call of a tool answers.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CallResult {
    Ok(String),
    Error(String),
    Cancelled(String),
}

impl CaseHost {
    /// With the script of a case in the place of a model.
    pub(super) fn scripted(component: &Component, case: &Case) -> Result<Self, String> {
        let rounds: Vec<RoundOfCase> = field(case, "script")?.unwrap_or_default();
        let round = |RoundOfCase { outputs, finish, usage }| Round { outputs, finish, usage };
        Self::new(component, case, Answers::Script(Script::new(rounds.into_iter().map(round))))
    }

    /// With a tape in the place of a model.
    pub(super) fn played(component: &Component, case: &Case, tape: Arc<Tape>) -> Result<Self, String> {
        Self::new(component, case, Answers::Played(tape))
    }

    /// With a model, whose answers a tape keeps.
    pub(super) fn recorded(
        component: &Component,
        case: &Case,
        tape: Arc<Tape>,
        server: Arc<ChatServer>,
    ) -> Result<Self, String> {
        Self::new(component, case, Answers::Recorded(tape, server))
    }

    fn new(component: &Component, case: &Case, answers: Answers) -> Result<Self, String> {
        Ok(Self {
            answers,
            tools: tools(case)?,
            results: Mutex::new(field(case, "results")?.unwrap_or_default()),
            // Neither a script nor a tape renders anything, so this is never instantiated.
            template: Arc::new(TemplateSetup { component: component.clone(), config: String::new() }),
            grants: Grants::none(),
            now: now(case)?,
        })
    }

    /// With these grants.
    #[cfg(feature = "agents")]
    pub(super) fn granting(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    /// What is wrong where rounds of the script were not asked for.
    pub(super) fn unasked(&self) -> CaseOutcome {
        let asked = |rounds| format!("{rounds} rounds of the script are left");
        match self.script().map_or(0, Script::left) {
            0 => CaseOutcome::Passed,
            left => CaseOutcome::Failed { expected: asked(0), got: asked(left) },
        }
    }

    /// What serves the model that is recorded.
    fn server(&self) -> Option<&ChatServer> {
        match &self.answers {
            Answers::Recorded(_, server) => Some(server),
            Answers::Script(_) | Answers::Played(_) => None,
        }
    }

    fn result(&self, name: &str) -> Result<String, ComponentError> {
        let error = |kind, message: String| Err(ComponentError::new(kind, "", message));
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        match results.get_mut(name).and_then(VecDeque::pop_front) {
            Some(CallResult::Ok(result)) => Ok(result),
            Some(CallResult::Error(message)) => error(ComponentErrorKind::InvalidInput, message),
            Some(CallResult::Cancelled(message)) => error(ComponentErrorKind::Cancelled, message),
            None => error(ComponentErrorKind::NotFound, format!("the case has no result for this call of {name}")),
        }
    }
}

/// When a case is run, in seconds since 1970.
pub(super) fn now(case: &Case) -> Result<u64, String> {
    Ok(field(case, "now")?.unwrap_or(NOW))
}

/// The tools that a case offers.
pub(super) fn tools(case: &Case) -> Result<Vec<OfferedTool>, String> {
    let tools: Vec<ToolOfCase> = field(case, "tools")?.unwrap_or_default();
    Ok(tools.into_iter().map(|ToolOfCase { tool, callable }| OfferedTool { tool, callable }).collect())
}

impl ChatHost for CaseHost {
    fn models(&self) -> Vec<Model> {
        self.server().map_or_else(Vec::new, |server| server.models())
    }

    fn grants(&self) -> Grants {
        self.grants.clone()
    }

    fn template(&self) -> Arc<TemplateSetup> {
        self.server().map_or_else(|| Arc::clone(&self.template), |server| server.template())
    }

    fn begin_turn(&self) {
        if let Some(server) = self.server() {
            server.begin_turn();
        }
    }

    fn end_turn(&self, end: &TurnEnd) {
        if let Some(server) = self.server() {
            server.end_turn(end);
        }
    }

    fn request(&self, model: &Model, options: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        self.server().map_or_else(|| Ok(GenerateRequest::default()), |server| server.request(model, options))
    }

    fn tools(&self) -> Vec<OfferedTool> {
        self.tools.clone()
    }

    fn call_tool(&self, name: String, _: String) -> BoxFuture<Result<String, ComponentError>> {
        Box::pin(std::future::ready(self.result(&name)))
    }

    fn store(&self) -> Option<Arc<dyn StoreView>> {
        self.server().and_then(|server| server.store())
    }

    fn script(&self) -> Option<&Script> {
        match &self.answers {
            Answers::Script(script) => Some(script),
            Answers::Played(_) | Answers::Recorded(..) => None,
        }
    }

    fn tape(&self) -> Option<Arc<Tape>> {
        match &self.answers {
            Answers::Script(_) => None,
            Answers::Played(tape) | Answers::Recorded(tape, _) => Some(Arc::clone(tape)),
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.now).unwrap_or(i64::MAX)
    }
}
