//! Policies as the engine calls them.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use wasmlx_backend::fake::{FakeBackend, FakeScript, Gate};
use wasmlx_backend::{Backend, BackendError, Input, LoadOptions, Logits, Penalties, SampleKey, Token};
use wasmlx_components::{ComponentErrorKind, PolicyComponent, Vocabulary};
use wasmlx_engine::{Choice, Policy, PolicyErrorKind, StepInfo};

use crate::guests::{Attack, GOOD, Guest};

pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary { size: wasmlx_backend::fake::VOCABULARY_SIZE, ..Vocabulary::default() }
}

/// Scores by which token 9 is the best.
pub(crate) fn logits() -> Box<dyn Logits> {
    let mut backend = FakeBackend::new(FakeScript::new().says(1, &[9]));
    let model = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    model.forward(Input::Ids(&[1]), model.new_cache().as_mut()).unwrap()
}

pub(crate) const INFO: StepInfo<'static> = StepInfo { position: 1, generated: 0, new: &[1], seed: 0 };

fn policy(guest: Guest) -> Box<dyn Policy> {
    PolicyComponent::new(&guest.policy()).unwrap().instantiate("{}", None, &vocabulary()).unwrap()
}

#[test]
fn a_step_chooses_a_token_that_is_not_read() {
    let mut policy = policy(Guest { operations: 3, max_backtrack: 5, ..GOOD });
    assert_eq!(policy.max_backtrack(), 5);
    for _ in 0..3 {
        let Choice::Token(token) = policy.step(&INFO, logits()).unwrap() else { panic!("it takes a token") };
        assert_eq!(token.read().unwrap(), 9);
    }
    assert!(policy.save().unwrap().unwrap().bytes.is_empty());
}

#[test]
fn a_handle_kept_over_its_step_is_an_error_that_the_guest_sees() {
    let mut policy = policy(Guest { hoards: true, ..GOOD });
    policy.step(&INFO, logits()).unwrap();
    let error = policy.step(&INFO, logits()).err().unwrap();
    assert_eq!(error.kind, PolicyErrorKind::Refused);
    assert!(error.message.contains("valid until the step that received them returns"), "{error}");
    // It did not trap, so it is asked again.
    assert_eq!(policy.step(&INFO, logits()).err().unwrap().message, error.message);
}

/// Logits on a device that is not read before a gate is open, and that tell when they are dropped.
struct OnDevice {
    logits: Box<dyn Logits>,
    gate: Gate,
    _alive: Arc<()>,
}

macro_rules! on_device {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl Logits for OnDevice {
            $(fn $name(&mut self, $($argument: $kind),*) -> Result<$result, BackendError> {
                self.logits.$name($($argument),*)
            })*
            fn entropy(&mut self) -> Result<f32, BackendError> {
                self.gate.pass();
                self.logits.entropy()
            }
            fn fork(&self) -> Result<Box<dyn Logits>, BackendError> {
                self.logits.fork()
            }
            fn start(&self) -> Result<(), BackendError> {
                self.logits.start()
            }
            fn as_any(&self) -> &dyn Any {
                self.logits.as_any()
            }
        }
    };
}

on_device! {
    scale(factor: f32) -> ();
    bias(biases: &[(u32, f32)]) -> ();
    allow(tokens: &[u32]) -> ();
    allow_mask(mask: &[u32]) -> ();
    forbid(tokens: &[u32]) -> ();
    penalise(penalties: &Penalties<'_>) -> ();
    top_k(k: u32) -> ();
    top_p(p: f32) -> ();
    min_p(p: f32, min_keep: u32) -> ();
    xtc(probability: f32, threshold: f32, special: &[u32], key: SampleKey) -> ();
    mix(other: &dyn Logits, weight: f32) -> ();
    sample(key: SampleKey) -> Box<dyn Token>;
    argmax() -> Box<dyn Token>;
    top(k: u32) -> Vec<(u32, f32)>;
    logprobs(tokens: &[u32]) -> Vec<f32>;
    read() -> Vec<f32>;
}

#[test]
fn a_kept_handle_keeps_no_arrays_alive() {
    let mut policy = policy(Guest { hoards: true, ..GOOD });
    let alive = Arc::new(());
    let logits = OnDevice { logits: logits(), gate: Gate::new(), _alive: alive.clone() };
    policy.step(&INFO, Box::new(logits)).unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn waiting_for_the_device_is_not_computing() {
    let mut waiting = policy(Guest { reads: true, operations: 100, ..GOOD });
    let gate = Gate::new();
    let logits_on_device = OnDevice { logits: logits(), gate: gate.clone(), _alive: Arc::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait_until_reached();
            // It waits for as long as others on the same clock are stopped in, twice over.
            let stopped = [(); 2].map(|()| {
                let mut computing = policy(Guest { place: 4, attack: Attack::Loop, ..GOOD });
                computing.step(&INFO, logits()).err().map(|error| error.kind)
            });
            gate.open();
            assert_eq!(stopped, [Some(PolicyErrorKind::Deadline); 2]);
        });
        waiting.step(&INFO, Box::new(logits_on_device)).unwrap();
    });
}

#[test]
fn operations_of_a_step_are_bounded() {
    // With `argmax` it is one too many.
    let mut policy = policy(Guest { operations: 256, ..GOOD });
    let error = policy.step(&INFO, logits()).err().unwrap();
    assert_eq!(error.kind, PolicyErrorKind::Refused);
    assert!(error.message.contains("256"), "{error}");
}

#[test]
fn a_policy_may_not_withhold_too_much() {
    let component = PolicyComponent::new(&Guest { max_backtrack: 65, ..GOOD }.policy()).unwrap();
    let error = component.instantiate("{}", None, &vocabulary()).err().unwrap();
    assert_eq!(error.kind(), ComponentErrorKind::InvalidInput);
}
