//! Loads beside loads and beside generations; unloading; the engine's own end.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use wasmlx_backend::fake::{FakeBackend, FakeScript, Gate};
use wasmlx_backend::{BackendError, BackendErrorKind, Dtype, LoadOptions, QuantizeRequest};
use wasmlx_engine::{CancelToken, Engine, EngineErrorKind, LoadRequest, Model, QuantizeTask};

use crate::support::{answer, bytes, collect, context, load_request, model, request, start, wait};

type Loading = std::thread::JoinHandle<Result<Model, wasmlx_engine::EngineError>>;

/// Asks for a load from another thread.
fn load_aside(engine: &Engine, request: LoadRequest) -> Loading {
    let engine = engine.clone();
    std::thread::spawn(move || wait(engine.load(request)))
}

/// The first poll of a load sends its command.
async fn poll_once<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await
}

#[test]
fn a_second_load_of_the_same_model_gets_the_first_ones() {
    let gate = Gate::new();
    let (engine, probe) = start(FakeScript::new().hold_load(0, &gate));
    let first = load_aside(&engine, load_request("fake"));
    gate.wait_until_reached();
    let second = load_aside(&engine, LoadRequest::new("fake", "models/fake"));
    gate.open();
    let (first, second) = (first.join().unwrap().unwrap(), second.join().unwrap().unwrap());
    let third = wait(engine.load(load_request("fake"))).unwrap();
    assert_eq!(probe.loads(), 1);
    assert!(second.tokenizer().is_some(), "whoever came first, both have what it was loaded with");
    wait(first.unload()).unwrap();
    for model in [second, third] {
        let error = model.new_context().set_tokens(&[1]).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Unloaded, "{error}");
    }
}

#[test]
fn a_name_may_be_shared_and_a_model_is_held_one_way_only() {
    let (engine, probe) = start(FakeScript::new());
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let options = || LoadRequest { options: LoadOptions { dtype: Dtype::Float16 }, ..load_request("fake") };
    let error = wait(engine.load(options())).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::AlreadyLoaded);
    assert!(error.to_string().contains("models/fake"), "{error}");
    let namesake = LoadRequest { folder: "models/other".into(), ..load_request("fake") };
    let namesake = wait(engine.load(namesake)).unwrap();
    assert_eq!((probe.loads(), probe.models()), (2, 2));
    wait(model.unload()).unwrap();
    assert_eq!(answer(&mut context(&namesake, "abc"), request(3)).tokens.len(), 3);
    wait(engine.load(options())).unwrap();
    assert_eq!((probe.loads(), probe.models()), (3, 2));
}

#[test]
fn a_load_reports_its_files_and_can_be_cancelled_at_each() {
    let (engine, probe) = start(FakeScript::new());
    // Behind the last file the fake asks no more: the engine has to look by itself.
    for file in 1..=3 {
        let seen = cancelled_at(&engine, file);
        assert_eq!(seen.len(), file);
        let name = format!("models/fake/model-{file}-of-3.safetensors");
        assert_eq!(seen[file - 1], (name.into(), (file as u64) << 20, 3 << 20));
        assert_eq!(probe.models(), 0);
    }
    wait(engine.load(load_request("fake"))).unwrap();
}

/// Cancels a load when this file has been read; file by file its name, the bytes so far and all bytes.
fn cancelled_at(engine: &Engine, file: usize) -> Vec<(PathBuf, u64, u64)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let cancel = CancelToken::new();
    let (log, stop) = (Arc::clone(&seen), cancel.clone());
    let error = wait(engine.load(LoadRequest {
        progress: Some(Box::new(move |step| {
            log.lock().unwrap().push((step.file, step.bytes_done, step.bytes_total));
            if log.lock().unwrap().len() == file {
                stop.cancel();
            }
        })),
        cancel,
        ..load_request("fake")
    }))
    .map(|_| ())
    .unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Cancelled, "{error}");
    seen.lock().unwrap().clone()
}

#[test]
fn dropping_a_load_cancels_it_but_not_who_waits_for_the_same() {
    let gate = Gate::new();
    let (engine, probe) = start(FakeScript::new().hold_load(0, &gate));
    wait(async {
        let mut load = Box::pin(engine.load(load_request("fake")));
        assert!(poll_once(&mut load).await.is_pending());
        gate.wait_until_reached();
    });
    let second = load_aside(&engine, load_request("fake"));
    gate.open();
    second.join().unwrap().unwrap();
    assert_eq!((probe.loads(), probe.models()), (2, 1));
}

#[test]
fn a_load_dropped_after_its_last_file_leaves_no_model() {
    let gate = Gate::new();
    let (engine, probe) = start(FakeScript::new().hold_loaded(0, &gate));
    wait(async {
        let mut load = Box::pin(engine.load(load_request("fake")));
        assert!(poll_once(&mut load).await.is_pending());
        gate.wait_until_reached();
    });
    gate.open();
    // Answered after the load, so that what the load leaves behind is there to be seen.
    wait(engine.stats()).unwrap();
    assert_eq!((probe.loads(), probe.models()), (1, 0));
    wait(engine.load(load_request("fake"))).unwrap();
    assert_eq!((probe.loads(), probe.models()), (2, 1));
}

#[test]
fn a_load_dropped_with_its_answer_on_the_way_leaves_no_model_unless_another_took_it() {
    let (first, second) = (Gate::new(), Gate::new());
    let (engine, probe) = start(FakeScript::new().hold_load(0, &first).hold_load(1, &second));
    wait(async {
        let mut load = Box::pin(engine.load(load_request("fake")));
        assert!(poll_once(&mut load).await.is_pending());
        first.open();
        // Asked for after the load, so that the load is answered by then.
        engine.stats().await.unwrap();
        drop(load);
        engine.stats().await.unwrap();
        assert_eq!((probe.loads(), probe.models()), (1, 0));

        let mut load = Box::pin(engine.load(load_request("fake")));
        assert!(poll_once(&mut load).await.is_pending());
        second.open();
        let taken = engine.load(load_request("fake")).await.unwrap();
        drop(load);
        engine.stats().await.unwrap();
        assert_eq!((probe.loads(), probe.models()), (2, 1));
        taken.unload().await.unwrap();
    });
}

#[test]
fn a_load_whose_watcher_panics_is_broken_off_and_the_engine_lives() {
    let (engine, probe) = start(FakeScript::new());
    let request = LoadRequest { progress: Some(Box::new(|_| panic!("a pen fell down"))), ..load_request("fake") };
    let error = wait(engine.load(request)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Cancelled, "{error}");
    assert!(error.to_string().contains("a pen fell down"), "{error}");
    assert_eq!(probe.models(), 0);
    wait(engine.load(load_request("fake"))).unwrap();
}

#[test]
fn a_load_that_failed_frees_what_it_read_and_can_be_tried_again() {
    let (engine, probe) = start(FakeScript::new().fail_load(0, BackendErrorKind::InvalidModel));
    let error = wait(engine.load(load_request("fake"))).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::InvalidModel, "{error}");
    assert_eq!(probe.clearings(), 1);
    wait(engine.load(load_request("fake"))).unwrap();
}

#[test]
fn a_generation_pauses_for_a_load_and_goes_on() {
    let alone = {
        let (model, _) = model(FakeScript::new());
        answer(&mut context(&model, "abc"), request(20)).tokens
    };
    let (pass, load) = (Gate::new(), Gate::new());
    let (engine, probe) = start(FakeScript::new().hold_pass(4, &pass).hold_load(1, &load));
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(20)).unwrap();
    pass.wait_until_reached();
    let other = load_aside(&engine, load_request("other"));
    // The generation has a step to finish; it may take more before the load is asked for, but none while it runs.
    pass.open();
    load.wait_until_reached();
    let passes = probe.passes();
    assert!(generation.blocking_next().is_some(), "what came before can be received meanwhile");
    assert_eq!(probe.passes(), passes);
    load.open();
    let other = other.join().unwrap().unwrap();
    let mut rest = 1;
    while let Some(event) = generation.blocking_next() {
        event.unwrap();
        rest += 1;
    }
    assert_eq!(rest, 21);
    assert_eq!(context.tokens()[3..], alone);
    assert_eq!(answer(&mut self::context(&other, "abc"), request(20)).tokens, alone);
}

#[test]
fn unloading_ends_the_models_generations_and_no_others() {
    let gate = Gate::new();
    let (engine, probe) = start(FakeScript::new().hold_pass(0, &gate));
    let one = wait(engine.load(load_request("one"))).unwrap();
    let two = wait(engine.load(load_request("two"))).unwrap();
    let (mut context, mut other_context) = (context(&one, "abc"), context(&two, "abc"));
    let mut generation = context.generate(request(4000)).unwrap();
    gate.wait_until_reached();
    let mut other = other_context.generate(request(50)).unwrap();
    let unload = {
        let one = one.clone();
        std::thread::spawn(move || wait(one.unload()))
    };
    gate.open();
    unload.join().unwrap().unwrap();
    let error = collect(&mut generation).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Unloaded, "{error}");
    assert!(generation.blocking_next().is_none());
    assert_eq!(collect(&mut other).unwrap().tokens.len(), 50);
    assert_eq!((probe.models(), probe.caches().len()), (1, 1));

    let again = [
        context.generate(request(1)).map(|_| ()).unwrap_err(),
        context.append(&[]).map(|_| ()).unwrap_err(),
        wait(context.fork()).map(|_| ()).unwrap_err(),
    ];
    assert!(again.iter().all(|error| error.kind() == EngineErrorKind::Unloaded), "{again:?}");
    assert_eq!(wait(one.unload()).unwrap_err().kind(), EngineErrorKind::NotLoaded);
    let again = wait(engine.load(load_request("one"))).unwrap();
    answer(&mut self::context(&again, "abc"), request(3));
}

#[test]
fn memory_and_counters_are_reported() {
    let (engine, probe) = start(FakeScript::new());
    assert_eq!(engine.device(), "fake");
    let model = wait(engine.load(load_request("fake"))).unwrap();
    answer(&mut context(&model, "abc"), request(5));
    let stats = wait(engine.stats()).unwrap();
    assert_eq!(stats.counters, probe.counters());
    assert_eq!(stats.counters.forwards, 5);
    assert!(stats.memory.peak_bytes >= stats.memory.active_bytes + 7 * 1024, "{stats:?}");
    wait(engine.reset_peak_memory()).unwrap();
    let memory = wait(engine.stats()).unwrap().memory;
    assert_eq!(memory.peak_bytes, memory.active_bytes);
}

#[test]
fn a_stopped_engine_says_so_and_frees_all() {
    let gate = Gate::new();
    let (engine, probe) = start(FakeScript::new().hold_pass(0, &gate));
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(4000)).unwrap();
    gate.wait_until_reached();
    let stopping = {
        let engine = engine.clone();
        std::thread::spawn(move || wait(engine.stop()))
    };
    gate.open();
    stopping.join().unwrap();
    assert_eq!((probe.models(), probe.caches().len()), (0, 0));
    assert_eq!(collect(&mut generation).unwrap_err().kind(), EngineErrorKind::Stopped);
    assert_eq!(wait(engine.stats()).unwrap_err().kind(), EngineErrorKind::Stopped);
    assert_eq!(wait(model.unload()).unwrap_err().kind(), EngineErrorKind::Stopped);
    assert_eq!(context.generate(request(1)).map(|_| ()).unwrap_err().kind(), EngineErrorKind::Stopped);
    wait(engine.stop());
}

#[test]
fn a_generation_outlives_all_handles_and_the_device_does_not() {
    let (engine, probe) = start(FakeScript::new());
    let model = wait(engine.load(load_request("fake"))).unwrap();
    let mut context = context(&model, "abc");
    let mut generation = context.generate(request(50)).unwrap();
    drop((engine, model));
    assert_eq!(collect(&mut generation).unwrap().tokens.len(), 50);
    assert_eq!(context.tokens()[..3], bytes("abc"));
    assert_eq!(probe.models(), 1);
    drop((context, generation));
}

#[test]
fn a_device_that_cannot_start_says_why() {
    let unavailable = || BackendError::new(BackendErrorKind::DeviceUnavailable, "no such device");
    let error = Engine::start(move || Err(unavailable())).map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (EngineErrorKind::DeviceUnavailable, "no such device"));
    let error = Engine::start(|| panic!("no library")).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::DeviceUnavailable);
    assert!(error.to_string().contains("no library"), "{error}");
    let backend = FakeBackend::new(FakeScript::new());
    Engine::start(move || Ok(Box::new(backend))).unwrap();
}

#[test]
fn a_device_that_does_not_quantise_says_so_and_who_has_gone_starts_nothing() {
    let (engine, _probe) = start(FakeScript::new());
    let task = |cancel: &CancelToken| QuantizeTask {
        request: QuantizeRequest { source: "models/fake".into(), destination: "out".into(), bits: 4, group_size: 64 },
        progress: None,
        cancel: cancel.clone(),
    };
    let cancel = CancelToken::new();
    let error = wait(engine.quantize(task(&cancel))).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Unsupported);
    assert!(error.to_string().contains("does not quantise"), "{error}");
    cancel.cancel();
    let error = wait(engine.quantize(task(&cancel))).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Cancelled);
    assert!(error.to_string().contains("quantising models/fake was cancelled"), "{error}");
}
