//! Each way in which the library fails has its kind.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use wasmlx::backend::fake::{FakeScript, Gate};
use wasmlx::backend::{BackendError, BackendErrorKind};
use wasmlx::{CancelToken, ComponentRef, Dtype, Error, ErrorKind, Host, LoadOptions};

use crate::support::{Folders, answers, told};
use crate::trapping::trapping;

/// That it is of a kind, and says something.
#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: wasmlx::Result<T>, kind: ErrorKind) -> Error {
    let error = result.expect_err("it must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().len() > 10, "{error}");
    error
}

#[tokio::test]
async fn not_available() {
    let no_device = || Err(BackendError::new(BackendErrorKind::DeviceUnavailable, "there is no such device"));
    let folders = Folders::new();
    let host = folders.builder(FakeScript::new()).backend(no_device).build().unwrap();
    let error = assert_kind(host.load(&folders.model()).await, ErrorKind::NotAvailable);
    assert!(error.hint().is_some_and(|hint| hint.contains("doctor")), "{error:?}");
    assert_kind(host.device().await, ErrorKind::NotAvailable);
    // What needs no device works all the same.
    host.template("chatml", &serde_json::json!({})).unwrap();
}

#[tokio::test]
async fn not_found() {
    let folders = Folders::new();
    let host = folders.host(FakeScript::new());
    assert_kind(host.load("nobody/nothing").await, ErrorKind::NotFound);
    let model = host.load(&folders.model()).await.unwrap();
    assert_kind(model.chat().template("nothing").build().await, ErrorKind::NotFound);
    assert_kind(model.chat().sampler("./nothing.wasm").build().await, ErrorKind::NotFound);
}

#[tokio::test]
async fn not_loaded_and_unloaded() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    model.unload().await.unwrap();
    assert_kind(model.unload().await, ErrorKind::NotLoaded);
    assert_kind(model.complete("Hi").start().await.map(drop), ErrorKind::Unloaded);
    assert_kind(told(chat.send("Hi").await.unwrap()).await, ErrorKind::Unloaded);
    assert!(chat.messages().is_empty(), "a turn that fails leaves no message behind");
}

#[tokio::test]
async fn unloaded_while_it_answers() {
    let folders = Folders::new();
    let gate = Gate::new();
    let script = answers(&[("Hi", "Hello there.")]).hold_pass(4, &gate);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let mut turn = chat.send("Hi").await.unwrap();
    turn.next().await.unwrap().unwrap();
    gate.wait_until_reached();
    let mut unloading = pin!(model.unload());
    // The first poll asks the device, which is held within the answer.
    assert!(poll_fn(|task| Poll::Ready(unloading.as_mut().poll(task))).await.is_pending());
    gate.open();
    assert_kind(told(turn).await, ErrorKind::Unloaded);
    unloading.await.unwrap();
    assert_kind(told(chat.send("Hi").await.unwrap()).await, ErrorKind::Unloaded);
}

#[tokio::test]
async fn already_loaded() {
    let folders = Folders::new();
    let host = folders.host(FakeScript::new());
    let (name, first) = (folders.model(), host.load(&folders.model()).await.unwrap());
    // The same model again is the same model.
    assert_eq!(host.load(&name).await.unwrap().name(), first.name());
    let other = LoadOptions::new().dtype(Dtype::Float16);
    assert_kind(host.load_with(Some(&name), other).await, ErrorKind::AlreadyLoaded);
}

#[tokio::test]
async fn busy() {
    let folders = Folders::new();
    let model = folders.host(answers(&[("Hi", "Hello.")])).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let turn = chat.send("Hi").await.unwrap();
    let error = assert_kind(chat.send("Hi again").await.map(drop), ErrorKind::Busy);
    assert!(error.hint().is_some());
    assert_kind(chat.retry().await.map(drop), ErrorKind::Busy);
    assert_kind(chat.clear().await, ErrorKind::Busy);
    assert_kind(chat.save().await, ErrorKind::Busy);
    assert_eq!(told(turn).await.unwrap().content, "Hello.");
    assert_eq!(told(chat.send("Hi again").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn cancelled() {
    let folders = Folders::new();
    let token = CancelToken::new();
    token.cancel();
    let host = folders.host(FakeScript::new());
    let cancelled = host.load_with(Some(&folders.model()), LoadOptions::new().cancel(token)).await;
    assert_kind(cancelled, ErrorKind::Cancelled);
    // Nothing is left of it, so another load starts anew.
    host.load(&folders.model()).await.unwrap();
}

#[tokio::test]
async fn context_full() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new().context_length(16)).load(&folders.model()).await.unwrap();
    let long = "a text of more than sixteen bytes";
    assert_kind(model.complete(long).start().await.map(drop), ErrorKind::ContextFull);
    let chat = model.chat().build().await.unwrap();
    let error = assert_kind(told(chat.send(long).await.unwrap()).await, ErrorKind::ContextFull);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn invalid_input() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    assert_kind(model.complete(vec![1, 99_999]).start().await.map(drop), ErrorKind::InvalidInput);
    assert_kind(model.chat().sampler_param("temprature", 1).build().await, ErrorKind::InvalidInput);
    assert_kind(model.chat().build().await.unwrap().retry().await.map(drop), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn invalid_model() {
    let folders = Folders::new();
    let script = FakeScript::new().fail_load(0, BackendErrorKind::InvalidModel);
    let host = folders.host(script);
    assert_kind(host.load(&folders.model()).await, ErrorKind::InvalidModel);
    assert_kind(host.load(folders.path().to_str().unwrap()).await, ErrorKind::InvalidModel);

    // A model without a tokenizer completes ids, and says what it lacks where it is to read text.
    std::fs::remove_file(folders.path().join("model/tokenizer.json")).unwrap();
    let model = host.load(&folders.model()).await.unwrap();
    model.complete(vec![1, 2]).max_tokens(2).start().await.unwrap().finish().await.unwrap();
    let error = assert_kind(model.complete("Hi").start().await.map(drop), ErrorKind::InvalidModel);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    assert_kind(model.chat().build().await, ErrorKind::InvalidModel);

    std::fs::write(folders.path().join("model/generation_config.json"), "{").unwrap();
    assert_kind(host.load(&folders.model()).await, ErrorKind::InvalidModel);
}

#[tokio::test]
async fn invalid_component() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let bytes = ComponentRef::Bytes { name: "noise".to_owned(), bytes: (*b"noise").into() };
    assert_kind(model.chat().chat_component(bytes).build().await, ErrorKind::InvalidComponent);
    let error = assert_kind(model.chat().template("classic").build().await, ErrorKind::InvalidComponent);
    assert!(error.to_string().contains("prompt template"), "{error}");
}

#[tokio::test]
async fn unsupported_and_out_of_memory() {
    for (given, kind) in [
        (BackendErrorKind::Unsupported, ErrorKind::Unsupported),
        (BackendErrorKind::OutOfMemory, ErrorKind::OutOfMemory),
    ] {
        let folders = Folders::new();
        let host = folders.host(FakeScript::new().fail_load(0, given));
        assert_kind(host.load(&folders.model()).await, kind);
    }
}

#[tokio::test]
async fn device_failed() {
    let folders = Folders::new();
    let script = FakeScript::new().fail_pass(2, BackendErrorKind::DeviceFailed);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let completion = model.complete("Hi").start().await.unwrap();
    assert_kind(completion.finish().await, ErrorKind::DeviceFailed);
    // The device is still there.
    model.complete("Hi").max_tokens(2).start().await.unwrap().finish().await.unwrap();
}

#[tokio::test]
async fn a_panic_of_the_device_is_told() {
    let folders = Folders::new();
    let script = FakeScript::new().panic_pass(1, "out of its mind");
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    let error = assert_kind(told(chat.send("Hi").await.unwrap()).await, ErrorKind::DeviceFailed);
    assert!(error.to_string().contains("out of its mind"), "{error}");
}

#[tokio::test]
async fn component_failed() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let trap = ComponentRef::Bytes { name: "trap".to_owned(), bytes: trapping("prompt-template").into() };
    let error = assert_kind(model.chat().template(trap).build().await, ErrorKind::ComponentFailed);
    assert!(error.to_string().contains("trap"), "{error}");
}

#[tokio::test]
async fn io() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let host = Host::builder().home(file.path().join("below-a-file")).build().unwrap();
    assert_kind(host.load("builtin").await, ErrorKind::Io);
}

#[tokio::test]
async fn stopped() {
    let folders = Folders::new();
    let host = folders.host(FakeScript::new());
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().build().await.unwrap();
    host.stop().await;
    assert_kind(model.complete("Hi").start().await.map(drop), ErrorKind::Stopped);
    assert_kind(host.load(&folders.model()).await, ErrorKind::Stopped);
    assert_kind(told(chat.send("Hi").await.unwrap()).await, ErrorKind::Stopped);
}
