//! Devices that fail and panic.

use wasmlx_backend::BackendErrorKind;
use wasmlx_backend::fake::{FakeScript, Gate};
use wasmlx_engine::{EngineErrorKind, Event, GenerateRequest};

use crate::support::{answer, collect, context, load_request, model, request, start, wait};

#[test]
fn a_device_failure_ends_that_generation_and_nothing_else() {
    for (kind, expected) in [
        (BackendErrorKind::DeviceFailed, EngineErrorKind::DeviceFailed),
        (BackendErrorKind::OutOfMemory, EngineErrorKind::OutOfMemory),
    ] {
        let right = {
            let (model, _) = model(FakeScript::new());
            answer(&mut context(&model, "abc"), request(10)).tokens
        };
        // Pass 4 gives the fifth token.
        let (engine, probe) = start(FakeScript::new().fail_pass(4, kind));
        let model = wait(engine.load(load_request("fake"))).unwrap();
        let mut context = context(&model, "abc");
        let mut generation = context.generate(request(10)).unwrap();
        let mut tokens = Vec::new();
        let error = loop {
            match generation.blocking_next() {
                Some(Ok(Event::Token { id, .. })) => tokens.push(id),
                Some(Err(error)) => break error,
                other => panic!("expected a failure, got {other:?}"),
            }
        };
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!(tokens, right[..4], "what was chosen before it is delivered");
        assert!(generation.blocking_next().is_none());
        // The failure is reported first and then cleared up after, before the next command.
        wait(engine.stats()).unwrap();
        assert_eq!(probe.caches().len(), 0, "nobody knows what the cache holds, so it is gone");
        assert_eq!(probe.clearings(), u64::from(expected == EngineErrorKind::OutOfMemory));

        let rest = answer(&mut context, request(6));
        assert_eq!(rest.tokens, right[4..], "the context goes on from what was received");
        assert_eq!(rest.finished.usage.cached_tokens, 0);
    }
}

#[test]
fn what_the_device_refused_leaves_the_cache_as_it_was() {
    let right = {
        let (model, _) = model(FakeScript::new());
        answer(&mut context(&model, "abc"), request(10)).tokens
    };
    let (model, _) = model(FakeScript::new().fail_pass(4, BackendErrorKind::InvalidInput));
    let mut context = context(&model, "abc");
    let error = collect(&mut context.generate(request(10)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidInput, "{error}");
    let rest = answer(&mut context, request(6));
    assert_eq!(rest.tokens, right[4..]);
    assert_eq!(rest.finished.usage.cached_tokens, 6, "all but the last of three and four tokens");
}

#[test]
fn a_failure_while_the_prompt_is_read_is_reported() {
    let (model, _) = model(FakeScript::new().fail_pass(1, BackendErrorKind::OutOfMemory));
    let mut context = context(&model, "abcdef");
    let error =
        collect(&mut context.generate(GenerateRequest { prefill_chunk: 2, ..request(3) }).unwrap()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::OutOfMemory);
    answer(&mut context, request(3));
}

#[test]
fn one_generations_failure_leaves_its_neighbour_alone() {
    let right = {
        let (model, _) = model(FakeScript::new());
        answer(&mut context(&model, "two"), request(20)).tokens
    };
    let gate = Gate::new();
    // The first one's passes are 0, 1, 2 and 4; pass 3 is the second one's prompt.
    let (model, _) = model(FakeScript::new().hold_pass(0, &gate).fail_pass(4, BackendErrorKind::DeviceFailed));
    let (mut one, mut two) = (context(&model, "one"), context(&model, "two"));
    let mut first = one.generate(request(20)).unwrap();
    gate.wait_until_reached();
    let mut second = two.generate(request(20)).unwrap();
    gate.open();
    assert_eq!(collect(&mut first).unwrap_err().kind(), EngineErrorKind::DeviceFailed);
    assert_eq!(collect(&mut second).unwrap().tokens, right);
}

#[test]
fn a_panic_reaches_everyone_who_waits() {
    let gate = Gate::new();
    let (engine, _) = start(FakeScript::new().hold_pass(3, &gate).panic_pass(5, "a wire came loose"));
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let (mut one, mut two) = (context(&model, "one"), context(&model, "two"));
    let mut first = one.generate(request(20)).unwrap();
    gate.wait_until_reached();
    let mut second = two.generate(request(20)).unwrap();
    gate.open();
    let error = collect(&mut first).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::DeviceFailed);
    assert!(error.to_string().contains("a wire came loose"), "{error}");
    assert!(first.blocking_next().is_none());
    let later = [
        collect(&mut second).unwrap_err(),
        wait(engine.stats()).unwrap_err(),
        wait(engine.load(load_request("other"))).map(|_| ()).unwrap_err(),
        wait(model.unload()).unwrap_err(),
        one.generate(request(1)).map(|_| ()).unwrap_err(),
    ];
    assert!(later.iter().all(|other| *other == error), "{later:?}");
    assert!(!one.is_empty(), "the text outlives the device");
}
