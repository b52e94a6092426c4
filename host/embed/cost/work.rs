//! What a component is made to do while it is measured.
//!
//! A component's work is that of the first of its own cases that can be measured by, else a standard one, and is kept
//! with what was measured: only the same work is compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use wasmlx_backend::fake::tokenizer_json;
use wasmlx_backend::null::{NullLogits, SCORES};
use wasmlx_components::{
    AnswerContext, Component, ComponentKind, Conversation, Output, Parser, PolicyComponent, Template, Vocabulary,
};
use wasmlx_engine::{Choice, Policy, StepInfo};
use wasmlx_text::{Segment, Tokenizer};

use crate::embed::cases::{self, Case, CaseOutcome};

/// The most bytes of a case that is kept as the work. A larger one is not measured by.
const CASE_BYTES: usize = 64 << 10;

/// Tokens of the prompt of a policy's request, and steps of one request.
const PROMPT_TOKENS: u32 = 32;
const STEPS: u32 = 256;

/// Pieces of an answer that one parser reads.
const PIECES: u32 = 64;

/// One kind of thing that a component does, again and again.
pub(super) trait Work {
    /// Does it once. How many bytes of lists and texts crossed the boundary, where that is known.
    fn once(&mut self) -> Result<Option<u64>, String>;
}

/// Something to be measured.
pub(super) struct Task<'a> {
    /// What of it is told, by the name of the function that is called for it.
    pub(super) functions: &'static [&'static str],
    pub(super) work: Box<dyn Work + 'a>,
}

/// The case that a component is measured by: the first of these that fits, else a standard one.
pub(super) fn choose(kind: ComponentKind, cases: &[Case]) -> Option<Case> {
    let fits = |case: &&Case| {
        let is_small = serde_json::to_string(case).is_ok_and(|text| text.len() <= CASE_BYTES);
        let fits = match kind {
            ComponentKind::Template => case.contains_key("conversation"),
            ComponentKind::Policy => case.contains_key("steps"),
            // A cassette may have several turns.
            ComponentKind::Chat => !cases::is_recorded(case),
            _ => true,
        };
        is_small && fits && !case.contains_key("error") && !expects_an_error(case)
    };
    let standard = || match kind {
        ComponentKind::Template => object(json!({
            "config": {"chat_template": STANDARD_TEMPLATE},
            "conversation": {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "What is the capital of Japan?"},
                ],
                "add_generation_prompt": true,
            },
        })),
        ComponentKind::Policy => object(json!({"params": {}})),
        ComponentKind::Chat => object(json!({
            "log": [{"role": "user", "content": "What is the capital of Japan?"}],
            "script": [{"outputs": [{"content": "Tokyo."}]}],
            "events": [{"content": "Tokyo."}, {"usage": {}}, {"done": "stop"}],
        })),
        _ => None,
    };
    let chosen = cases.iter().find(fits).cloned().or_else(standard)?;
    // Of a policy's case only the parameters are used: its scores are of a few tokens.
    if kind == ComponentKind::Policy {
        let params = chosen.get("params").cloned().unwrap_or_else(|| json!({}));
        return Some(Map::from_iter([("params".to_owned(), params)]));
    }
    Some(chosen)
}

/// As models' own templates are.
const STANDARD_TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n\
                                 {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Whether one of a case's steps ends with an error.
fn expects_an_error(case: &Case) -> bool {
    let steps = case.get("steps").and_then(Value::as_array);
    steps.is_some_and(|steps| steps.iter().any(|step| step["expect"].get("error").is_some()))
}

/// What is measured of a component, by a case that was chosen.
///
/// # Errors
/// Why it cannot be.
pub(super) fn tasks<'a>(component: &'a Component, case: &'a Case) -> Result<Vec<Task<'a>>, String> {
    match component.kind() {
        ComponentKind::Template => templates(component, case),
        ComponentKind::Policy => policies(component, case),
        kind => {
            let (functions, bytes): (&[&str], _) = match kind {
                ComponentKind::Chat => (&["instantiation", "conversation.open", TURN], Some(texts_of(case))),
                _ => (&["instantiation", "run"], None),
            };
            Ok(vec![Task { functions, work: Box::new(Playing { component, case, bytes }) }])
        }
    }
}

/// The calls of a chat that are one turn together.
pub(super) const TURN: &str = "turn";

/// What is told of a call by this name, which may be part of something larger.
pub(super) fn told_as(function: &str) -> &str {
    match function {
        "conversation.send" | "turn.next-batch" | "turn's destructor" => TURN,
        other => other,
    }
}

fn policies<'a>(component: &'a Component, case: &'a Case) -> Result<Vec<Task<'a>>, String> {
    let told = |error: wasmlx_components::ComponentError| error.to_string();
    let policy = PolicyComponent::new(component).map_err(told)?;
    let params = case.get("params").cloned().unwrap_or_else(|| json!({})).to_string();
    let vocabulary = Vocabulary {
        size: SCORES,
        tokenizer: Tokenizer::from_bytes(tokenizer_json().as_bytes()).ok(),
        ..Vocabulary::default()
    };
    let is_planned = policy.plan(&params, &vocabulary).map_err(told)?.is_some();
    let opened = Opened { policy, params, vocabulary };
    if is_planned {
        return Ok(vec![Task { functions: &["instantiation", "plan"], work: Box::new(Planning(opened)) }]);
    }
    let stepping = Stepping { request: None, bytes: Arc::default(), opened: opened.clone() };
    Ok(vec![
        Task { functions: &["instantiation", "policy.open"], work: Box::new(Opening(opened)) },
        Task { functions: &["policy.step"], work: Box::new(stepping) },
    ])
}

/// A policy with its parameters.
#[derive(Clone)]
struct Opened {
    policy: PolicyComponent,
    params: String,
    vocabulary: Vocabulary,
}

struct Planning(Opened);

impl Work for Planning {
    fn once(&mut self) -> Result<Option<u64>, String> {
        let Opened { policy, params, vocabulary } = &self.0;
        policy.plan(params, vocabulary).map_err(|error| error.to_string())?;
        Ok(Some(params.len() as u64))
    }
}

struct Opening(Opened);

impl Work for Opening {
    fn once(&mut self) -> Result<Option<u64>, String> {
        let Opened { policy, params, vocabulary } = &self.0;
        policy.instantiate(params, None, vocabulary).map_err(|error| error.to_string())?;
        Ok(Some(params.len() as u64))
    }
}

/// Steps of requests, one after another.
struct Stepping {
    opened: Opened,
    request: Option<Request>,
    bytes: Arc<AtomicU64>,
}

struct Request {
    policy: Box<dyn Policy>,
    new: Vec<u32>,
    position: u32,
    generated: u32,
}

impl Work for Stepping {
    fn once(&mut self) -> Result<Option<u64>, String> {
        let request = match &mut self.request {
            Some(request) if request.generated < STEPS => request,
            ended => {
                let Opened { policy, params, vocabulary } = &self.opened;
                let policy = policy.instantiate(params, None, vocabulary).map_err(|error| error.to_string())?;
                // The bytes of a text, as the tokenizer has them.
                let new: Vec<u32> = (0..PROMPT_TOKENS).map(|index| 97 + index % 26).collect();
                ended.insert(Request { policy, new, position: PROMPT_TOKENS, generated: 0 })
            }
        };
        self.bytes.store(0, Ordering::Relaxed);
        let Request { policy, new, position, generated } = request;
        let info = StepInfo { position: *position, generated: *generated, new, seed: 7 };
        let choice = policy.step(&info, Box::new(NullLogits::new(Arc::clone(&self.bytes))));
        let crossed = self.bytes.load(Ordering::Relaxed) + size_of_val(new.as_slice()) as u64;
        let (dropped, next) = match choice.map_err(|error| error.to_string())? {
            Choice::Token(token) => (0, vec![token.read().map_err(|error| error.to_string())?]),
            Choice::Forced(tokens) => (0, tokens),
            Choice::Backtrack(count, tokens) => (u32::try_from(count).unwrap_or(u32::MAX), tokens),
            Choice::Stop => {
                self.request = None;
                return Ok(Some(crossed));
            }
        };
        let added = u32::try_from(next.len()).unwrap_or(u32::MAX);
        *position = position.saturating_sub(dropped).saturating_add(added);
        *generated = generated.saturating_sub(dropped).saturating_add(added.max(1));
        *new = next;
        Ok(Some(crossed))
    }
}

fn templates<'a>(component: &'a Component, case: &Case) -> Result<Vec<Task<'a>>, String> {
    let config = case.get("config").cloned().unwrap_or_else(|| json!({})).to_string();
    let conversation = case.get("conversation").cloned().unwrap_or_default();
    let texts = texts(&conversation);
    let conversation: Conversation = serde_json::from_value(conversation).map_err(|error| error.to_string())?;
    let template = Template::new(component, &config).map_err(|error| error.to_string())?;
    let segments = template.render(&conversation).map_err(|error| error.to_string())?;
    let context = AnswerContext::new(&conversation, &segments);
    Ok(vec![
        Task { functions: &["instantiation", "configure"], work: Box::new(Configuring { component, config }) },
        Task { functions: &["render"], work: Box::new(Rendering { template: template.clone(), conversation, texts }) },
        Task { functions: &["parser.push"], work: Box::new(Parsing { template, context, parser: None }) },
    ])
}

struct Configuring<'a> {
    component: &'a Component,
    config: String,
}

impl Work for Configuring<'_> {
    fn once(&mut self) -> Result<Option<u64>, String> {
        Template::new(self.component, &self.config).map_err(|error| error.to_string())?;
        Ok(Some(self.config.len() as u64))
    }
}

struct Rendering {
    template: Template,
    conversation: Conversation,
    texts: u64,
}

impl Work for Rendering {
    fn once(&mut self) -> Result<Option<u64>, String> {
        let segments = self.template.render(&self.conversation).map_err(|error| error.to_string())?;
        Ok(Some(self.texts + segments.iter().map(Segment::text).map(|text| text.len() as u64).sum::<u64>()))
    }
}

/// Reading an answer piece by piece.
struct Parsing {
    template: Template,
    context: AnswerContext,
    /// A parser, and how many pieces it can still read.
    parser: Option<(Parser, u32)>,
}

impl Work for Parsing {
    fn once(&mut self) -> Result<Option<u64>, String> {
        const PIECE: &str = " word";
        let told = |error: wasmlx_components::ComponentError| error.to_string();
        let (parser, left) = match &mut self.parser {
            Some((parser, left)) if *left > 0 => (parser, left),
            ended => {
                let (parser, left) = ended.insert((self.template.parser(&self.context).map_err(told)?, PIECES));
                (parser, left)
            }
        };
        *left -= 1;
        let outputs = parser.push(PIECE).map_err(told)?;
        let text = |output: &Output| match output {
            Output::Content(text)
            | Output::Reasoning(text)
            | Output::ToolCallStart(text)
            | Output::ToolCallArguments(text) => text.len() as u64,
            Output::ToolCallEnd => 0,
        };
        Ok(Some(PIECE.len() as u64 + outputs.iter().map(text).sum::<u64>()))
    }
}

/// A case, played from its beginning to its end.
struct Playing<'a> {
    component: &'a Component,
    case: &'a Case,
    bytes: Option<u64>,
}

impl Work for Playing<'_> {
    fn once(&mut self) -> Result<Option<u64>, String> {
        match cases::run_case(self.component, self.case)? {
            CaseOutcome::Failed { got, .. } if got.starts_with("error: ") => Err(got),
            _ => Ok(self.bytes),
        }
    }
}

/// The texts that a turn hands over, each once: its messages, what the model answers, and what the chat makes of it.
fn texts_of(case: &Case) -> u64 {
    ["log", "script", "events"].into_iter().filter_map(|name| case.get(name)).map(texts).sum()
}

/// Bytes of all texts in a value.
fn texts(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(texts).sum(),
        Value::Object(object) => object.values().map(texts).sum(),
        _ => 0,
    }
}

fn object(value: Value) -> Option<Case> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
