//! Sampling policies: a plan that the engine runs by itself, or an object that is asked at every step.

use wasmlx_backend::Logits;
use wasmlx_engine::{Chain, Choice, MAX_BACKTRACK, Policy, PolicyError, SavedState, StepInfo};
use wasmlx_text::Tokenizer;
use wasmtime::component::{Resource, ResourceAny};
use wasmtime::{AsContextMut, Store};

use crate::call::Call;
use crate::component::Linked;
use crate::deadline::{Deadline, Sum};
use crate::grammars::Grammars;
use crate::guest_log::GuestLog;
use crate::handles::Handles;
use crate::limits::{BYTES_PER_CALL, HANDLES, MemoryMeter};
use crate::v0_1::policy as wit;
use crate::{Component, ComponentError, ComponentErrorKind, ComponentKind};

/// What a policy may know of a model's tokens.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// How many scores there are. Lists of tokens are no longer than this, or than the text.
    pub size: u32,
    /// Tokens that `xtc` never drops: ends of turns, the newline.
    pub xtc_special: Vec<u32>,
    /// Tokens that end an answer of the request: a grammar allows them where the answer is whole.
    pub end_tokens: Vec<u32>,
    /// What grammars are compiled for; without one there are none.
    pub tokenizer: Option<Tokenizer>,
}

/// A component of world `sampling-policy`.
#[derive(Debug, Clone)]
pub struct PolicyComponent(Component);

impl PolicyComponent {
    /// # Errors
    /// [`ComponentErrorKind::WrongKind`] for a component of another world.
    pub fn new(component: &Component) -> Result<Self, ComponentError> {
        match component.linked() {
            Linked::Policy(_) => Ok(Self(component.clone())),
            _ => Err(component.wrong_kind(ComponentKind::Policy)),
        }
    }

    /// The component.
    pub fn component(&self) -> &Component {
        &self.0
    }

    /// The fixed chain that these parameters (a JSON object) mean, if the policy is one: then the engine runs it, and
    /// no policy object is needed. Blocks while the component computes.
    pub fn plan(&self, params: &str, vocabulary: &Vocabulary) -> Result<Option<Chain>, ComponentError> {
        let mut instance = self.instance(vocabulary)?;
        let plan = instance.setup("plan", |world, store| world.wasmlx_runner_policy().call_plan(store, params))?;
        let plan = plan.map_err(|error| ComponentError::from(error).of(self.0.name()))?;
        let is_bias = |op: &wit::Op| matches!(op, wit::Op::Bias(bias) if bias.len() > vocabulary.size as usize);
        if plan.as_ref().is_some_and(|plan| plan.iter().any(is_bias)) {
            let message = format!("its plan biases more tokens than the vocabulary has ({})", vocabulary.size);
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, self.0.name(), message));
        }
        Ok(plan.map(|plan| Chain { xtc_special: vocabulary.xtc_special.clone(), ..wit::chain(plan) }))
    }

    /// A policy for one request, with what another one saved if that is given. Blocks while the component computes, so
    /// call it off the device thread.
    pub fn instantiate(
        &self,
        params: &str,
        saved: Option<SavedState>,
        vocabulary: &Vocabulary,
    ) -> Result<Box<dyn Policy>, ComponentError> {
        let mut instance = self.instance(vocabulary)?;
        let policy = match saved {
            None => instance
                .setup("policy.open", |world, store| world.wasmlx_runner_policy().policy().call_open(store, params))?,
            Some(saved) => {
                let saved = saved.into();
                instance.setup("policy.restore", |world, store| {
                    world.wasmlx_runner_policy().policy().call_restore(store, params, &saved)
                })?
            }
        };
        let policy = policy.map_err(|error| ComponentError::from(error).of(self.0.name()))?;
        let max_backtrack = instance.setup("policy.max-backtrack", |world, store| {
            world.wasmlx_runner_policy().policy().call_max_backtrack(store, policy)
        })?;
        let max_backtrack = max_backtrack as usize;
        if max_backtrack > MAX_BACKTRACK {
            let message = format!("it may drop {max_backtrack} tokens at a time; the most is {MAX_BACKTRACK}");
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, self.0.name(), message));
        }
        let info = wit::StepInfo { position: 0, generated: 0, new: Vec::new() };
        Ok(Box::new(LivePolicy { instance, policy, max_backtrack, info, dead: None }))
    }

    fn instance(&self, vocabulary: &Vocabulary) -> Result<Instance, ComponentError> {
        let Linked::Policy(linked) = self.0.linked() else {
            return Err(self.0.wrong_kind(ComponentKind::Policy));
        };
        let (runtime, limits) = (self.0.runtime(), self.0.runtime().limits());
        let state = PolicyState {
            memory: runtime.meter(self.0.kind()).map_err(|error| error.of(self.0.name()))?,
            deadline: Deadline::new(),
            computed: Sum::new(runtime.activity(), limits.policy_request),
            handles: Handles::new(limits.policy_step_operations, limits.policy_step_readings),
            grammars: Grammars::new(vocabulary.tokenizer.clone(), vocabulary.end_tokens.clone()),
            vocabulary: vocabulary.clone(),
            log: GuestLog::new(&self.0),
        };
        let mut store = Store::new(linked.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(BYTES_PER_CALL);
        store.set_max_component_handles(HANDLES);
        runtime.prepare(&mut store);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().deadline.reached()));
        let ticks = store.data_mut().deadline.start(limits.policy_setup);
        store.set_epoch_deadline(ticks);
        let call = Call::of_request(&self.0, "instantiation");
        let made = call.span().in_scope(|| linked.instantiate(&mut store));
        runtime.count(call.function(), &mut store, |state| &state.memory);
        let made = made.map_err(|error| failed(&self.0, "instantiation", &error, store.data()));
        call.end(made.as_ref().err());
        Ok(Instance { component: self.0.clone(), world: made?, store })
    }
}

/// What the host keeps beside an instance.
pub(crate) struct PolicyState {
    memory: MemoryMeter,
    deadline: Deadline,
    /// What all steps have computed.
    pub(crate) computed: Sum,
    pub(crate) handles: Handles,
    pub(crate) grammars: Grammars,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) log: GuestLog,
}

struct Instance {
    component: Component,
    world: wit::World,
    store: Store<PolicyState>,
}

impl Instance {
    /// Calls what is not `step`.
    fn setup<R>(
        &mut self,
        function: &'static str,
        run: impl FnOnce(&wit::World, &mut Store<PolicyState>) -> wasmtime::Result<R>,
    ) -> Result<R, ComponentError> {
        let ticks = self.store.data_mut().deadline.start(self.component.runtime().limits().policy_setup);
        self.store.set_epoch_deadline(ticks);
        self.store.data_mut().memory.begin_call();
        let call = Call::of_request(&self.component, function);
        let answer = call.span().in_scope(|| run(&self.world, &mut self.store));
        self.component.runtime().count(function, &mut self.store, |state| &state.memory);
        let answer = answer.map_err(|error| failed(&self.component, function, &error, self.store.data()));
        call.end(answer.as_ref().err());
        answer
    }
}

fn failed(component: &Component, function: &str, error: &wasmtime::Error, state: &PolicyState) -> ComponentError {
    let allowed = state.deadline.allowed();
    ComponentError::from_call(component.name(), function, error, state.memory.hit(), allowed)
}

/// One request's policy. Its whole life is one instance in one store.
struct LivePolicy {
    instance: Instance,
    policy: ResourceAny,
    max_backtrack: usize,
    /// Kept so that a step allocates nothing for its tokens.
    info: wit::StepInfo,
    /// Why no call can be made any more: it trapped.
    dead: Option<ComponentError>,
}

impl Policy for LivePolicy {
    fn max_backtrack(&self) -> usize {
        self.max_backtrack
    }

    fn step(&mut self, info: &StepInfo<'_>, logits: Box<dyn Logits>) -> Result<Choice, PolicyError> {
        if let Some(error) = &self.dead {
            return Err(error.clone().into());
        }
        let Instance { component, world, store } = &mut self.instance;
        if let Some(limit) = store.data().computed.exhausted() {
            let message = format!("its steps have computed for more than {} s in this request", limit.as_secs_f32());
            return Err(ComponentError::new(ComponentErrorKind::Deadline, component.name(), message).into());
        }
        self.info.position = info.position;
        self.info.generated = info.generated;
        self.info.new.clear();
        self.info.new.extend_from_slice(info.new);
        let Some(number) = store.data_mut().handles.begin(info.seed, info.position, logits) else {
            let message = "it keeps the handles of thousands of earlier steps; they mean nothing, so drop them";
            return Err(ComponentError::new(ComponentErrorKind::InvalidInput, component.name(), message).into());
        };
        store.data_mut().grammars.begin_step(info);
        let ticks = store.data_mut().deadline.start(component.runtime().limits().policy_step);
        store.set_epoch_deadline(ticks);
        store.data_mut().memory.begin_call();
        let logits = Resource::new_own(number);
        let call = Call::of_token(component, "policy.step");
        store.data_mut().computed.resume();
        let answer = call.span().in_scope(|| {
            world.wasmlx_runner_policy().policy().call_step(store.as_context_mut(), self.policy, &self.info, logits)
        });
        component.runtime().count("policy.step", store, |state| &state.memory);
        let state = store.data_mut();
        state.computed.pause();
        state.grammars.end_step();
        let choice = match answer {
            Ok(Ok(wit::Choice::Token(token))) => match state.handles.take_token(token.rep()) {
                Ok(token) => Ok(Choice::Token(token)),
                Err(error) => Err(ComponentError::new(ComponentErrorKind::InvalidInput, component.name(), error)),
            },
            Ok(Ok(wit::Choice::Forced(tokens))) => Ok(Choice::Forced(tokens)),
            Ok(Ok(wit::Choice::Backtrack((count, tokens)))) => Ok(Choice::Backtrack(count as usize, tokens)),
            Ok(Ok(wit::Choice::Stop)) => Ok(Choice::Stop),
            Ok(Err(error)) => Err(ComponentError::from(error).of(component.name())),
            Err(error) => {
                let error = failed(component, "policy.step", &error, store.data());
                self.dead = Some(error.clone());
                Err(error)
            }
        };
        store.data_mut().handles.end();
        call.end(choice.as_ref().err());
        Ok(choice?)
    }

    fn save(&mut self) -> Result<Option<SavedState>, PolicyError> {
        if let Some(error) = &self.dead {
            return Err(error.clone().into());
        }
        let policy = self.policy;
        let saved = self
            .instance
            .setup("policy.save", |world, store| world.wasmlx_runner_policy().policy().call_save(store, policy));
        match saved {
            Ok(saved) => Ok(Some(saved.into())),
            Err(error) => {
                self.dead = Some(error.clone());
                Err(error.into())
            }
        }
    }
}
