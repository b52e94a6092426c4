//! What a chat component asks of its host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use wasmlx_components::{
    BoxFuture, ChatHost, ComponentError, ComponentErrorKind, GenerateOptions, OfferedTool, Slot, TemplateSetup,
    Tool as ToolDefinition,
};
use wasmlx_engine::{self as engine, GenerateRequest};

use super::model::Model;
use super::report::Tally;
use super::sampler::{LoadedSampler, random_seed, vocabulary};
use super::tool::{Tool, spaced_json};

/// What an answer is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) max_tokens: usize,
    pub(crate) stops: Vec<String>,
    pub(crate) ignore_eos: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) logprobs: Option<u32>,
    pub(crate) sampler_params: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_tokens: super::DEFAULT_MAX_TOKENS,
            stops: Vec::new(),
            ignore_eos: false,
            seed: None,
            logprobs: None,
            sampler_params: Map::new(),
        }
    }
}

/// Serves one conversation: its model, what sits in its slots, its settings, its tools.
pub(crate) struct ChatServer {
    model: Model,
    template: Slot<TemplateSetup>,
    sampler: Slot<LoadedSampler>,
    tools: Vec<Tool>,
    settings: Mutex<Settings>,
    /// Of the turn under way.
    tally: Mutex<Option<Tally>>,
}

impl ChatServer {
    pub(crate) fn new(
        model: Model,
        template: TemplateSetup,
        sampler: LoadedSampler,
        tools: Vec<Tool>,
        settings: Settings,
    ) -> Self {
        Self {
            model,
            template: Slot::new(Arc::new(template)),
            sampler: Slot::new(Arc::new(sampler)),
            tools,
            settings: Mutex::new(settings),
            tally: Mutex::new(None),
        }
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    pub(crate) fn template_name(&self) -> String {
        self.template.current().component.name().to_owned()
    }

    pub(crate) fn sampler_name(&self) -> String {
        self.sampler.current().name().to_owned()
    }

    pub(crate) fn set_template(&self, template: TemplateSetup) {
        self.template.swap(Arc::new(template));
    }

    pub(crate) fn set_sampler(&self, sampler: LoadedSampler) {
        self.sampler.swap(Arc::new(sampler));
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.settings));
    }

    /// A turn begins.
    pub(crate) fn begin(&self, tally: Tally) {
        *lock(&self.tally) = Some(tally);
    }

    /// A turn has ended; none where none had begun.
    pub(crate) fn end(&self) -> Option<Tally> {
        lock(&self.tally).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves a whole value behind, even where it panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChatHost for ChatServer {
    fn models(&self) -> Vec<engine::Model> {
        vec![self.model.engine_model().clone()]
    }

    fn template(&self) -> Arc<TemplateSetup> {
        self.template.current()
    }

    fn request(&self, _: &engine::Model, options: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        let settings = self.settings();
        Ok(GenerateRequest {
            sampling: self.sampler.current().sampling(&vocabulary(&self.model))?,
            // What the user allows is the most, whatever the component asks for.
            max_tokens: options.max_tokens.map_or(usize::MAX, |count| count as usize).min(settings.max_tokens),
            stops: settings.stops,
            end_tokens: if settings.ignore_eos { Vec::new() } else { self.model.end_tokens() },
            seed: options.seed.or(settings.seed).unwrap_or_else(random_seed),
            logprobs: settings.logprobs,
            ..GenerateRequest::default()
        })
    }

    fn tools(&self) -> Vec<OfferedTool> {
        let offered = |tool: &Tool| OfferedTool {
            tool: ToolDefinition {
                name: tool.name().to_owned(),
                description: tool.description().to_owned(),
                parameters: tool.parameters().clone(),
            },
            callable: tool.is_callable(),
        };
        self.tools.iter().map(offered).collect()
    }

    fn call_tool(&self, name: String, arguments: String) -> BoxFuture<Result<String, ComponentError>> {
        let refused = |message: String| ComponentError::new(ComponentErrorKind::InvalidInput, "", message);
        let Some(tool) = self.tools.iter().find(|tool| tool.name() == name).cloned() else {
            let error = ComponentError::new(ComponentErrorKind::NotFound, "", format!("there is no tool `{name}`"));
            return Box::pin(std::future::ready(Err(error)));
        };
        Box::pin(async move {
            let arguments = serde_json::from_str(&arguments)
                .map_err(|error| refused(format!("the arguments of {name} are not JSON: {error}")))?;
            let Some(run) = tool.run(arguments) else {
                return Err(refused(format!("{name} is not for the chat to run")));
            };
            run.await.map(|result| spaced_json(&result)).map_err(refused)
        })
    }

    fn observe(&self, event: &engine::Event) {
        if let Some(tally) = lock(&self.tally).as_mut() {
            tally.add(event);
        }
    }
}
