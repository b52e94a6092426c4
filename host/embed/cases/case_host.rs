//! What serves the chats and agents of cases, with a script in the place of a model.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use wasmlx_components::{
    BoxFuture, ChatHost, Component, ComponentError, ComponentErrorKind, FinishReason, GenerateOptions, Grants,
    OfferedTool, Output, Round, Script, TemplateSetup, Tool, Usage,
};
use wasmlx_engine::{GenerateRequest, Model};

use super::{Case, CaseOutcome, field};

/// Serves a chat or an agent from what its case says.
pub(super) struct CaseHost {
    script: Script,
    tools: Vec<OfferedTool>,
    results: Mutex<HashMap<String, VecDeque<CallResult>>>,
    template: Arc<TemplateSetup>,
    grants: Grants,
}

#[derive(Deserialize)]
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
    pub(super) fn new(component: &Component, case: &Case) -> Result<Self, String> {
        let rounds: Vec<RoundOfCase> = field(case, "script")?.unwrap_or_default();
        let round = |RoundOfCase { outputs, finish, usage }| Round { outputs, finish, usage };
        let tools: Vec<ToolOfCase> = field(case, "tools")?.unwrap_or_default();
        let tool = |ToolOfCase { tool, callable }| OfferedTool { tool, callable };
        Ok(Self {
            script: Script::new(rounds.into_iter().map(round)),
            tools: tools.into_iter().map(tool).collect(),
            results: Mutex::new(field(case, "results")?.unwrap_or_default()),
            // A script renders nothing, so this is never instantiated.
            template: Arc::new(TemplateSetup { component: component.clone(), config: String::new() }),
            grants: Grants::none(),
        })
    }

    /// With these grants.
    pub(super) fn granting(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    /// What is wrong where rounds of the script were not asked for.
    pub(super) fn unasked(&self) -> CaseOutcome {
        let asked = |rounds| format!("{rounds} rounds of the script are left");
        match self.script.left() {
            0 => CaseOutcome::Passed,
            left => CaseOutcome::Failed { expected: asked(0), got: asked(left) },
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

impl ChatHost for CaseHost {
    fn models(&self) -> Vec<Model> {
        Vec::new()
    }

    fn grants(&self) -> Grants {
        self.grants.clone()
    }

    fn template(&self) -> Arc<TemplateSetup> {
        Arc::clone(&self.template)
    }

    fn request(&self, _: &Model, _: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        Ok(GenerateRequest::default())
    }

    fn tools(&self) -> Vec<OfferedTool> {
        self.tools.clone()
    }

    fn call_tool(&self, name: String, _: String) -> BoxFuture<Result<String, ComponentError>> {
        Box::pin(std::future::ready(self.result(&name)))
    }

    fn script(&self) -> Option<&Script> {
        Some(&self.script)
    }
}
