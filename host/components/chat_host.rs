//! What a chat session is given: the trait that the program around it implements.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use wasmlx_engine::{Event, GenerateRequest, Model};
use wasmlx_text::GrammarSource;

use crate::{
    ChatComponent, ComponentError, ComponentErrorKind, ComponentKind, Grants, Script, StoreView, Tape, TemplateSetup,
    Tool,
};

/// A future that is `Send`, on the heap.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves one chat session. What a chat component imports comes down to these.
pub trait ChatHost: Send + Sync + 'static {
    /// The models of the session; the first is the one that the user chose, which every component is given. Of the
    /// others a component is given those that it asks for and [`ChatHost::grants`] names.
    fn models(&self) -> Vec<Model>;

    /// What the user grants the session's component.
    fn grants(&self) -> Grants {
        Grants::none()
    }

    /// What sits in the session's template slot. Asked as a turn begins: a swap takes effect there.
    fn template(&self) -> Arc<TemplateSetup>;

    /// What renders for a model other than the first, and reads its answers.
    fn template_for(&self, model: &Model) -> Arc<TemplateSetup> {
        let _ = model;
        self.template()
    }

    /// What sits in the session's chat slot, for sessions whose component can be swapped. Asked as a turn begins, after
    /// [`ChatHost::begin_turn`]; none is the component that the session was started with.
    fn chat(&self) -> Option<ChatSeat> {
        None
    }

    /// What came of a session's move to another seat of the chat slot, if it was the seat of this number. A session that
    /// could not move stays where it is, and tries again where the host still says so.
    fn moved(&self, seat: u64, outcome: Result<(), &ComponentError>) {
        let _ = (seat, outcome);
    }

    /// A turn begins: from here to its end what sits in the slots stays. May block.
    fn begin_turn(&self) {}

    /// It has ended, its component's state is saved.
    fn end_turn(&self, end: &TurnEnd) {
        let _ = end;
    }

    /// What a generation of the session is to be like: who chooses the tokens, the most of them where the component
    /// does not say, the model's end tokens, a grammar. The session adds the stops of `options` and of the template, and
    /// lets a grammar begin after the reasoning that a prompt opens. May block; this is where a policy is instantiated
    /// and a grammar compiled.
    fn request(&self, model: &Model, options: &GenerateOptions) -> Result<GenerateRequest, ComponentError>;

    /// The tools that the model may call.
    fn tools(&self) -> Vec<OfferedTool> {
        Vec::new()
    }

    /// Runs a tool that was offered as callable; arguments and result are JSON texts. Dropped when the turn is
    /// cancelled.
    fn call_tool(&self, name: String, arguments: String) -> BoxFuture<Result<String, ComponentError>> {
        let _ = arguments;
        let error = ComponentError::new(ComponentErrorKind::NotFound, "", format!("there is no tool `{name}`"));
        Box::pin(std::future::ready(Err(error)))
    }

    /// The models in the store, for a component that asks to see them and is granted it; none where there is no store.
    fn store(&self) -> Option<Arc<dyn StoreView>> {
        None
    }

    /// Gets each event of each generation, before the component does.
    fn observe(&self, event: &Event) {
        let _ = event;
    }

    /// What takes the place of a model: then contexts hold nothing, prompts are empty, and generations are these. For
    /// the cases of chat components, which need no model.
    fn script(&self) -> Option<&Script> {
        None
    }

    /// Where the component's calls are written down, or what answers them. Asked when an instance is made.
    fn tape(&self) -> Option<Arc<Tape>> {
        None
    }

    /// Seconds since 1970 in local time, for templates that print the date; by default in UTC.
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

/// What sits in a chat slot.
#[derive(Debug, Clone)]
pub struct ChatSeat {
    /// Which stay in the slot it is: a session moves where the number is another than it was. Back on the seat that it
    /// last moved from, a session has again what it had saved there.
    pub number: u64,
    /// The component.
    pub component: ChatComponent,
    /// Whether the slot was turned back here because the component after it broke down. Then a session goes even where
    /// its state is refused: it begins anew, with its messages.
    pub is_return: bool,
}

/// How a turn ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnEnd {
    /// Whether it gave an answer to its end.
    pub is_good: bool,
    /// The components that broke down in it, the first one first: a component that trapped because another one did is
    /// not among them, nor one that trapped because the model failed or the context was full.
    pub faults: Vec<(ComponentKind, ComponentError)>,
}

/// What a chat component asks of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenerateOptions {
    /// The most tokens.
    pub max_tokens: Option<u32>,
    /// Strings at which the answer ends, besides the template's own.
    pub stops: Vec<String>,
    /// What random draws depend on.
    pub seed: Option<u64>,
    /// The tools that the prompt offered: only where there are some is anything in the answer a call.
    pub tools: Vec<Tool>,
    /// What the answer must look like.
    pub grammar: Option<GrammarSource>,
}

/// A tool as a session has it.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedTool {
    /// The tool.
    pub tool: Tool,
    /// Whether [`ChatHost::call_tool`] runs it. A call of any other is handed back to the caller.
    pub callable: bool,
}
