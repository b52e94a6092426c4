//! A device that does not come to the end of a step.

use std::time::Duration;

use wasmlx_backend::Backend;
use wasmlx_backend::fake::{FakeBackend, FakeScript, Gate};
use wasmlx_engine::{
    Choice, Engine, EngineError, EngineErrorKind, GenerateRequest, Model, Patience, Policy, PolicyError, Sampling,
    StepInfo,
};

use crate::support::{collect, context, load_request, request, wait};

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(50);

/// A device that stays at its third pass until the gate is opened.
fn hung(patience: Patience) -> (Engine, Model, Gate) {
    let gate = Gate::new();
    let backend = FakeBackend::new(FakeScript::new().hold_pass(2, &gate));
    let engine = Engine::start_patient(patience, move || Ok(Box::new(backend) as Box<dyn Backend>)).unwrap();
    let model = wait(engine.load(load_request("fake"))).unwrap();
    (engine, model, gate)
}

/// Reads the scores at every step, so that it is a policy's step that hangs.
struct Reads;

impl Policy for Reads {
    fn step(&mut self, _: &StepInfo<'_>, mut logits: Box<dyn wasmlx_backend::Logits>) -> Result<Choice, PolicyError> {
        logits.entropy().expect("the device goes on");
        Ok(Choice::Token(logits.argmax().expect("the device goes on")))
    }
}

fn reading() -> GenerateRequest {
    GenerateRequest { sampling: Sampling::Policy(Box::new(Reads)), ..request(20) }
}

#[test]
fn nobody_waits_for_ever() {
    let (engine, model, gate) = hung(Patience { cancelled: NEVER, step: SOON });
    let (mut one, mut two) = (context(&model, "one"), context(&model, "two"));
    let (mut first, second) = (one.generate(reading()).unwrap(), two.generate(request(20)));
    let error = collect(&mut first).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::DeviceFailed, "{error}");
    assert!(error.to_string().contains("in 0.05 s, so it is taken for hung"), "{error}");
    assert!(first.blocking_next().is_none());
    // Those whose turn it was not, those who ask now, and those who asked before.
    let later = [
        second.and_then(|mut second| collect(&mut second)).unwrap_err(),
        wait(engine.stats()).unwrap_err(),
        wait(one.fork()).map(drop).unwrap_err(),
        wait(engine.load(load_request("other"))).map(drop).unwrap_err(),
        one.generate(request(1)).map(drop).unwrap_err(),
    ];
    assert!(later.iter().all(|other| *other == error), "{later:?}");
    // A device that comes back makes no difference, but that its thread ends.
    gate.open();
    assert_eq!(wait(engine.stats()).unwrap_err(), error);
    wait(engine.stop());
}

#[test]
fn what_waits_for_a_reply_is_told_too() {
    let (engine, model, gate) = hung(Patience { cancelled: NEVER, step: SOON });
    let mut one = context(&model, "one");
    let generation = one.generate(reading()).unwrap();
    gate.wait_until_reached();
    let error: EngineError = wait(engine.stats()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::DeviceFailed, "{error}");
    drop(generation);
    gate.open();
}

#[test]
fn who_cancels_does_not_wait_for_the_device() {
    let (_engine, model, gate) = hung(Patience { cancelled: SOON, step: NEVER });
    let (mut one, mut two) = (context(&model, "one"), context(&model, "two"));
    let mut first = one.generate(reading()).unwrap();
    gate.wait_until_reached();
    let mut second = two.generate(request(4)).unwrap();
    first.cancel();
    let error = collect(&mut first).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Cancelled, "{error}");
    let read = one.len();
    // The others wait on, and are answered where it comes back; so is the one that was cancelled.
    gate.open();
    assert_eq!(collect(&mut second).unwrap().tokens.len(), 4);
    assert_eq!(one.len(), read, "nothing of a generation that was given up comes later");
    assert_eq!(collect(&mut one.generate(request(4)).unwrap()).unwrap().tokens.len(), 4);
}
