//! Components that are looked into, installed, measured and used by their names.

use std::fs;
use std::path::Path;

use serde_json::json;
use wasmlx::backend::fake::FakeScript;
use wasmlx::{ComponentKind, ComponentOrigin, ComponentRef, ErrorKind, Host, InstallOptions, Slot};

use crate::support::{Folders, answers, told};
use crate::trapping::trapping;

/// A host with a home of its own: what is installed there no other test sees.
fn host(folders: &Folders, script: FakeScript) -> Host {
    folders.builder(script).home(folders.path().join("home")).build().unwrap()
}

fn min_p() -> ComponentRef {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/min-p.wasm").as_path().into()
}

#[tokio::test]
async fn an_installed_component_serves_by_its_name_in_every_slot_and_host() {
    let folders = Folders::new();
    let first = host(&folders, FakeScript::new());
    let report = first.install_component(min_p(), InstallOptions::new()).await.unwrap();
    assert_eq!((report.component.name.as_str(), report.replaced), ("min-p", None));
    let card = report.component.cost.expect("a cost card");
    assert!(card.call("policy.step").is_some_and(|step| step.fuel > 0));

    // Another host with this home, such as another process has.
    let host = host(&folders, answers(&[("Hi", "Hello.")]));
    let model = host.load(&folders.model()).await.unwrap();
    let chat = model.chat().sampler("min-p").build().await.unwrap();
    let report = told(chat.send("Hi").await.unwrap()).await.unwrap().report;
    assert_eq!(report.cost.boundary_calls, report.usage.completion_tokens as u64);
    let swapped = host.swap(Slot::Sampler, "min-p").await.unwrap();
    assert_eq!(swapped.component, "min-p");

    let inspection = host.inspect_component("min-p").await.unwrap();
    assert_eq!(
        (inspection.kind, &inspection.origin),
        (ComponentKind::Policy, &ComponentOrigin::Installed("min-p".to_owned()),)
    );
    assert_eq!(inspection.cost.as_ref(), Some(&card));
    assert_eq!(host.remove_component("min-p").unwrap(), ["min-p"]);
    let error = host.inspect_component("min-p").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // The chat goes on with what it has.
    assert_eq!(told(chat.send("Hi").await.unwrap()).await.unwrap().content, "Hello.");
}

#[tokio::test]
async fn what_traps_is_installed_without_a_card_and_looked_into_without_being_run() {
    let folders = Folders::new();
    let host = host(&folders, FakeScript::new());
    for (world, kind) in [("prompt-template", "prompt template"), ("chat-component", "chat")] {
        let trap = || ComponentRef::Bytes { name: "trap".to_owned(), bytes: trapping(world).into() };
        assert_eq!(host.inspect_component(trap()).await.unwrap().kind.to_string(), kind);
        let error = host.measure_component(trap(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("trapped"), "{error}");
        let report = host.install_component(trap(), InstallOptions::new()).await.unwrap();
        assert!(report.component.cost.is_none() && report.unmeasured.is_some_and(|why| why == error));
    }
    let list = host.list_components().unwrap();
    let installed: Vec<_> = list.components.iter().filter(|component| !component.built_in).collect();
    assert_eq!(installed.len(), 1);
    assert_eq!(installed[0].kind, "chat");
}

#[tokio::test]
async fn what_fails_its_cases_or_has_no_name_leaves_what_was_installed() {
    let folders = Folders::new();
    let host = host(&folders, FakeScript::new());
    let untested = || InstallOptions::new().untested(true);
    let installed = host.install_component(min_p(), untested().name("mine")).await.unwrap().component;
    let cases = folders.path().join("cases");
    fs::create_dir(&cases).unwrap();
    let wrong = json!([{"name": "wrong", "params": {}, "plan": [{"temperature": 7}]}]);
    fs::write(cases.join("cases.json"), wrong.to_string()).unwrap();

    let failing = InstallOptions::new().name("mine").cases(&cases);
    let error = host.install_component("default-policy", failing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CasesFailed);
    for name in ["default-policy", "../mine", "", "mine.wasm", "MINE"] {
        let error = host.install_component("default-policy", untested().name(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
    }
    let list = host.list_components().unwrap();
    assert_eq!(list.components.into_iter().filter(|component| !component.built_in).collect::<Vec<_>>(), [installed]);
}
