//! A text that a model reads and goes on with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;
use wasmlx_text::{Detokenizer, Segment, StopMatcher, TextError, TextErrorKind, Tokenizer};

use crate::cancel::CancelToken;
use crate::constraint::Constraint;
use crate::device::Command;
use crate::event::{GenerateRequest, Sampling};
use crate::footprint::Footprint;
use crate::generation::{Answer, Generation};
use crate::model::Model;
use crate::output::Output;
use crate::policy::MAX_BACKTRACK;
use crate::start::Start;
use crate::transcript::Transcript;
use crate::{EngineError, EngineErrorKind};

/// Which context, among those of one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContextId(pub(crate) u64);

/// A text and what a model has read of it.
///
/// The text is changed at once, on the caller's side; the device follows where a generation begins: what its cache
/// has read of the new text stays, and the rest is read then. While a generation runs, changing the context is
/// [`EngineErrorKind::Busy`] and looking at it shows the text from before; when the generation has ended or is
/// dropped, its answer is part of the text.
///
/// Dropping a context frees its cache, after the generation that runs on it, if one does.
pub struct Context {
    model: Model,
    id: ContextId,
    state: Arc<ContextState>,
}

/// How much of a prompt is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptInfo {
    /// The tokens of the whole text.
    pub tokens: usize,
    /// How many of these the model has read, as far as is known before the generation begins; its
    /// [`Usage`](crate::Usage) has the exact number.
    pub cached: usize,
}

impl Context {
    pub(crate) fn new(model: Model) -> Self {
        let transcript = Transcript::new(model.tokenizer().cloned());
        Self::with(model, transcript, None)
    }

    fn with(model: Model, transcript: Transcript, reached: Option<usize>) -> Self {
        let id = model.device().new_context();
        let state = State { transcript, former: None, reached, running: None };
        Self { model, id, state: Arc::new(ContextState(Mutex::new(state))) }
    }

    /// The model that reads it.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Makes the context hold exactly this prompt.
    ///
    /// As far as the new text is the old one, answers keep the very tokens that were generated, whatever trust the
    /// prompt gives their text; the rest is encoded anew. An answer that the prompt repeats cut short (a template
    /// trims it) keeps the tokens up to the cut, if the cut falls between two of them.
    ///
    /// # Errors
    /// [`EngineErrorKind::InvalidInput`] for a control token the model lacks and for a model without a tokenizer,
    /// [`EngineErrorKind::TextFailed`], [`EngineErrorKind::ContextFull`], [`EngineErrorKind::Busy`],
    /// [`EngineErrorKind::Unloaded`]; the context stays as it was.
    pub fn prompt(&mut self, segments: &[Segment]) -> Result<PromptInfo, EngineError> {
        self.change(segments, |old, tokenizer| old.transcript().prompted(tokenizer, segments))
    }

    /// Adds to the text.
    ///
    /// # Errors
    /// As [`Context::prompt`].
    pub fn append(&mut self, segments: &[Segment]) -> Result<PromptInfo, EngineError> {
        self.change(segments, |old, tokenizer| match old {
            Old::Text(transcript) => transcript.appended(tokenizer, segments),
            Old::Former(transcript) => transcript.prompted(tokenizer, segments),
        })
    }

    /// Makes the context hold exactly these tokens. A model without a tokenizer can be given text in no other way.
    ///
    /// # Errors
    /// [`EngineErrorKind::InvalidInput`] for a token the model does not have; [`EngineErrorKind::ContextFull`],
    /// [`EngineErrorKind::Busy`], [`EngineErrorKind::Unloaded`].
    pub fn set_tokens(&mut self, ids: &[u32]) -> Result<PromptInfo, EngineError> {
        let vocabulary = self.model.info().vocabulary_size;
        if let Some(id) = ids.iter().find(|&&id| id >= vocabulary) {
            let message = format!("there is no token {id}: {} has {vocabulary} tokens", self.model.name());
            return Err(EngineError::new(EngineErrorKind::InvalidInput, message));
        }
        self.replace(|old| Ok(old.transcript().of_tokens(ids)))
    }

    /// The text's tokens.
    pub fn tokens(&self) -> Vec<u32> {
        self.state.lock().transcript.ids().to_vec()
    }

    /// The text, prompts and answers; what was given by tokens as the tokenizer shows it.
    pub fn text(&self) -> String {
        self.state.lock().transcript.text()
    }

    /// How many tokens the text has.
    pub fn len(&self) -> usize {
        self.state.lock().transcript.ids().len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tokens of the text the device has yet to read, as far as is known: one at least, unless it is empty.
    pub fn unread(&self) -> usize {
        let state = self.state.lock();
        let tokens = state.transcript.ids().len();
        tokens - state.transcript.read().min(tokens.saturating_sub(1))
    }

    /// How many tokens the context takes up at most: its text's, those that the device has room for on its behalf, and
    /// those that a running generation may come to. A cache keeps the room that it once had, so only dropping the
    /// context makes this less.
    pub fn held(&self) -> usize {
        self.state.held()
    }

    /// What that would be while an answer of at most so many tokens is generated.
    pub fn held_by_answer(&self, max_tokens: usize) -> usize {
        self.held().max(self.length_after(self.len(), max_tokens))
    }

    /// What [`Context::held`] says, for somebody who does not own the context.
    pub fn footprint(&self) -> Footprint {
        Footprint::of(&self.state)
    }

    /// A second context with the same text; what was read need not be read again.
    ///
    /// # Errors
    /// [`EngineErrorKind::Busy`], [`EngineErrorKind::Unloaded`], [`EngineErrorKind::OutOfMemory`].
    pub async fn fork(&self) -> Result<Self, EngineError> {
        self.model.check_loaded()?;
        let (transcript, reached) = {
            let state = self.state.idle()?;
            (state.transcript.clone(), state.reached)
        };
        let fork = Self::with(self.model.clone(), transcript, reached);
        self.model.device().ask(|reply| Command::Fork(self.id, fork.id, reply)).await??;
        Ok(fork)
    }

    /// Forgets all but the first `len` tokens; more than there are changes nothing.
    ///
    /// # Errors
    /// [`EngineErrorKind::Busy`].
    pub fn truncate(&mut self, len: usize) -> Result<(), EngineError> {
        self.state.idle()?.transcript.truncate(len);
        Ok(())
    }

    /// Makes the context as good as a new one, to be handed to somebody else: its text is empty. The next prompt still
    /// finds the tokens of the old text, as far as it repeats that, and the device need not read them again.
    ///
    /// # Errors
    /// [`EngineErrorKind::Busy`].
    pub fn vacate(&mut self) -> Result<(), EngineError> {
        let mut state = self.state.idle()?;
        if !state.transcript.ids().is_empty() {
            let empty = Transcript::new(self.model.tokenizer().cloned());
            state.former = Some(std::mem::replace(&mut state.transcript, empty));
        }
        Ok(())
    }

    /// Goes on with the text. The device reads what it has not read yet, then the answer begins.
    ///
    /// The generation runs on its own from here on: it need not be waited on to make progress, and ends where it is
    /// dropped. One at a time.
    ///
    /// # Errors
    /// [`EngineErrorKind::InvalidInput`] for an empty text or numbers out of their range,
    /// [`EngineErrorKind::ContextFull`] where the text leaves no room for a token, [`EngineErrorKind::Busy`],
    /// [`EngineErrorKind::Unloaded`].
    pub fn generate(&mut self, request: GenerateRequest) -> Result<Generation, EngineError> {
        let asked = Instant::now();
        self.model.check_loaded()?;
        let withheld = self.check(&request)?;
        let mut state = self.state.idle()?;
        let tokens = state.transcript.ids().to_vec();
        self.check_room(tokens.len() + 1)?;
        if tokens.is_empty() {
            return Err(invalid("the context is empty, so there is nothing to go on with: give it a prompt first"));
        }
        let constraint = self.constraint(&request)?;
        let text = self.model.tokenizer().map(|tokenizer| text_state(tokenizer, &tokens, request.stops)).transpose();
        let output = Output::new(text.map_err(text_failed)?, withheld);
        let limit = self.length_after(tokens.len(), request.max_tokens);
        let (updates, receiver) = unbounded_channel();
        let cancel = CancelToken::new();
        let device = self.model.device();
        let sender = updates.downgrade();
        device.send(Command::Generate(Box::new(Start {
            context: self.id,
            model: self.model.parts().clone(),
            tokens,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            end_tokens: request.end_tokens.clone(),
            constraint,
            seed: request.seed,
            logprobs: request.logprobs,
            prefill_chunk: request.prefill_chunk,
            output,
            updates,
            cancel: cancel.clone(),
            asked,
        })))?;
        device.watch().cover(sender.clone(), cancel.clone());
        state.running = Some(limit);
        let answer = Answer {
            context: Arc::clone(&self.state),
            end_tokens: request.end_tokens,
            ids: Vec::new(),
            text: String::new(),
        };
        Ok(Generation::new(receiver, sender, cancel, device.end().clone(), answer))
    }

    /// How long a text may become by an answer.
    fn length_after(&self, tokens: usize, max_tokens: usize) -> usize {
        tokens.saturating_add(max_tokens).min(self.model.info().context_length as usize)
    }

    /// Whether a request makes sense. Says how many tokens are to be withheld from the reader.
    fn check(&self, request: &GenerateRequest) -> Result<usize, EngineError> {
        if request.prefill_chunk == 0 {
            return Err(invalid("prefill_chunk is 0; it must be 1 or more"));
        }
        if self.model.tokenizer().is_none() && !request.stops.is_empty() {
            return Err(invalid("stop strings need a tokenizer, and the model was loaded without one"));
        }
        match &request.sampling {
            Sampling::Chain(chain) => chain.validate(self.model.info().vocabulary_size).map(|()| 0),
            Sampling::Policy(policy) => match policy.max_backtrack() {
                withheld @ 0..=MAX_BACKTRACK => Ok(withheld),
                more => Err(invalid(&format!("the policy may drop {more} tokens; the most is {MAX_BACKTRACK}"))),
            },
        }
    }

    /// The request's grammar before the answer.
    fn constraint(&self, request: &GenerateRequest) -> Result<Option<Constraint>, EngineError> {
        let Some(grammar) = &request.grammar else { return Ok(None) };
        let Some(tokenizer) = self.model.tokenizer() else {
            return Err(invalid("a grammar needs a tokenizer, and the model was loaded without one"));
        };
        Constraint::new(grammar, tokenizer, &request.end_tokens).map(Some)
    }

    fn change(
        &mut self,
        segments: &[Segment],
        make: impl FnOnce(Old<'_>, &Tokenizer) -> Result<Transcript, TextError>,
    ) -> Result<PromptInfo, EngineError> {
        let Some(tokenizer) = self.model.tokenizer() else {
            return Err(invalid("the model was loaded without a tokenizer, so its prompts are tokens, not text"));
        };
        self.check_bytes(segments, tokenizer)?;
        self.replace(|old| make(old, tokenizer).map_err(text_failed))
    }

    fn replace(
        &self,
        make: impl FnOnce(Old<'_>) -> Result<Transcript, EngineError>,
    ) -> Result<PromptInfo, EngineError> {
        self.model.check_loaded()?;
        let mut state = self.state.idle()?;
        let transcript = make(state.former.as_ref().map_or(Old::Text(&state.transcript), Old::Former))?;
        let tokens = transcript.ids().len();
        self.check_room(tokens)?;
        let cached = transcript.read().min(tokens.saturating_sub(1));
        state.transcript = transcript;
        state.former = None;
        Ok(PromptInfo { tokens, cached })
    }

    /// That a text may fit, before the tokenizer works through it: it takes seconds for what no context can hold.
    fn check_bytes(&self, segments: &[Segment], tokenizer: &Tokenizer) -> Result<(), EngineError> {
        let bytes: usize = segments.iter().map(|segment| segment.text().len()).sum();
        let context_length = self.model.info().context_length;
        let most = tokenizer.longest_text(context_length as usize);
        if bytes <= most {
            return Ok(());
        }
        let message = format!(
            "the text has {bytes} bytes, and {} can hold no more than {context_length} tokens, which are {most} bytes \
             at the very most: shorten it, or start a new conversation",
            self.model.name(),
        );
        Err(EngineError::new(EngineErrorKind::ContextFull, message))
    }

    fn check_room(&self, tokens: usize) -> Result<(), EngineError> {
        let most = self.model.info().context_length;
        if tokens <= most as usize {
            return Ok(());
        }
        let message = format!(
            "the text needs {tokens} tokens and {} can hold {most}: shorten it, or start a new conversation",
            self.model.name(),
        );
        Err(EngineError::new(EngineErrorKind::ContextFull, message))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let state = self.state.lock();
        if state.reached.is_some() || state.running.is_some() {
            // Where the device is gone, so is the cache.
            let _ = self.model.device().send(Command::DropContext(self.id));
        }
    }
}

/// The caller's side of a context, which its generation shares. The device thread never takes this lock.
pub(crate) struct ContextState(Mutex<State>);

struct State {
    transcript: Transcript,
    /// The text before the context was vacated; none once there is another.
    former: Option<Transcript>,
    /// The most tokens that the device may have read of it by the end of a generation; none where there was none, so
    /// that the device does not know of it.
    reached: Option<usize>,
    /// How many tokens the text of the running generation may come to; none where none runs.
    running: Option<usize>,
}

/// What a new text is compared with.
enum Old<'a> {
    /// The text that it changes.
    Text(&'a Transcript),
    /// What the device has read, of which the text is empty now.
    Former(&'a Transcript),
}

impl<'a> Old<'a> {
    fn transcript(self) -> &'a Transcript {
        match self {
            Self::Text(transcript) | Self::Former(transcript) => transcript,
        }
    }
}

impl ContextState {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Changes are assignments of whole values, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// [`EngineErrorKind::Busy`] while a generation runs.
    fn idle(&self) -> Result<MutexGuard<'_, State>, EngineError> {
        let state = self.lock();
        if state.running.is_some() {
            let message = "the context is generating: wait for the answer's end, or cancel or drop it first";
            return Err(EngineError::new(EngineErrorKind::Busy, message));
        }
        Ok(state)
    }

    /// Ends the running generation with what its reader received. `read`: how many tokens the device has read.
    pub(crate) fn settle(&self, ids: Vec<u32>, shown: &str, read: Option<usize>) {
        let mut state = self.lock();
        state.transcript.answer(ids, shown, read);
        let limit = state.running.take();
        // Where nobody says how much was read, it may be all that was allowed.
        state.reached = state.reached.max(read.or(limit));
    }

    /// What [`Context::held`] says.
    pub(crate) fn held(&self) -> usize {
        let state = self.lock();
        let device = state.reached.max(state.running).unwrap_or(0);
        device.max(state.transcript.ids().len())
    }
}

fn text_state(
    tokenizer: &Tokenizer,
    before: &[u32],
    stops: Vec<String>,
) -> Result<(Detokenizer, StopMatcher), TextError> {
    Ok((Detokenizer::following(tokenizer, false, before)?, StopMatcher::new(stops)?))
}

fn invalid(message: &str) -> EngineError {
    EngineError::new(EngineErrorKind::InvalidInput, message)
}

fn text_failed(error: TextError) -> EngineError {
    let kind = match error.kind() {
        TextErrorKind::UnknownControlToken | TextErrorKind::InvalidStop => EngineErrorKind::InvalidInput,
        _ => EngineErrorKind::TextFailed,
    };
    EngineError::new(kind, error)
}
