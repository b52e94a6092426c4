//! What is loaded, what is refused, and what the cache does.

use std::fs;

use wasmlx_components::{ComponentErrorKind, ComponentKind, PolicyComponent, Runtime, RuntimeOptions, Template};

use crate::guests::{GOOD, component, component_of, runtime};
use crate::others::Others;

#[test]
fn how_long_compiling_took_is_told_by_who_did_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = RuntimeOptions { cache_dir: Some(folder.path().to_owned()), ..RuntimeOptions::default() };
    let runtime = Runtime::new(options).unwrap();
    let bytes = component(&GOOD.module("template"), "prompt-template", "0.1.0");
    assert!(runtime.load("template", &bytes).unwrap().compile_time().is_some());
    assert!(runtime.load("template", &bytes).unwrap().compile_time().is_none(), "it came from the cache");
}

#[test]
fn a_later_patch_version_is_served_if_it_asks_for_nothing_new() {
    let bytes = component(&GOOD.module("template"), "prompt-template", "0.1.7");
    let loaded = runtime().load("template", &bytes).unwrap();
    assert_eq!((loaded.kind(), loaded.version(), loaded.size()), (ComponentKind::Template, "0.1.7", bytes.len()));
    assert_eq!(loaded.digest().len(), 64);
    let template = Template::new(&loaded, "{}").unwrap();
    assert_eq!(template.stops().unwrap(), [""; 0]);
}

#[test]
fn a_later_patch_version_that_asks_for_more_is_refused_as_such() {
    let import = r#"(import "wasmlx:runner/logits@0.1.0" "[method]logits.scale""#;
    let module = GOOD.module("policy").replace(import, &import.replace("scale", "smear"));
    let bytes = component_of(&module, "sampling-policy", "0.1.12", |package| package.replace("scale:", "smear:"));
    let error = runtime().load("newer", &bytes).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::UnsupportedVersion, "{error}");
    let expected = "component newer: it was built for wasmlx:runner 0.1.12; this host knows 0.1.0: ";
    assert!(error.to_string().starts_with(expected) && error.to_string().contains("smear"), "{error}");
}

#[test]
fn a_version_from_the_future_is_refused() {
    let bytes = component(&GOOD.module("policy"), "sampling-policy", "0.2.0");
    let error = runtime().load("tomorrow", &bytes).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::UnsupportedVersion);
    let expected = "component tomorrow: it was built for wasmlx:runner 0.2.0; this host serves 0.1";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_core_module_is_refused() {
    let module = wat::parse_str(GOOD.module("policy")).unwrap();
    let error = runtime().load("core", &module).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::NotAComponent);
}

#[test]
fn an_interface_with_too_little_in_it_is_refused() {
    let bytes =
        wat::parse_str(r#"(component (instance $i) (export "wasmlx:runner/template@0.1.0" (instance $i)))"#).unwrap();
    let error = runtime().load("hollow", &bytes).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::MissingExport);
}

#[test]
fn invalid_code_is_refused() {
    let mut bytes = component(&GOOD.module("template"), "prompt-template", "0.1.0");
    // Somewhere inside the code of the module.
    let middle = bytes.len() / 3;
    for byte in &mut bytes[middle..middle + 64] {
        *byte = 0xff;
    }
    assert_eq!(runtime().load("broken", &bytes).unwrap_err().kind(), ComponentErrorKind::NotAComponent);
}

#[test]
fn a_component_fits_its_own_slot_only() {
    let error = Template::new(&GOOD.policy(), "{}").err().unwrap();
    assert_eq!(error.kind(), ComponentErrorKind::WrongKind);
    assert_eq!(error.to_string(), "component policy: it is a sampling policy; a prompt template is needed here");
    assert_eq!(PolicyComponent::new(&GOOD.chat()).unwrap_err().kind(), ComponentErrorKind::WrongKind);
}

#[test]
fn a_poisoned_artefact_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let runtime =
            Runtime::new(RuntimeOptions { cache_dir: Some(folder.path().to_owned()), ..RuntimeOptions::default() });
        let bytes = component(&GOOD.module("template"), "prompt-template", "0.1.0");
        Template::new(&runtime?.load("template", &bytes)?, "{}")?.stops()
    };
    load().unwrap();
    let artefacts = || {
        let paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect::<Vec<_>>()
    };
    let [artefact] = &artefacts()[..] else { panic!("one component has one artefact") };
    let whole = fs::read(artefact).unwrap();
    let changed_at = |place: usize| {
        let mut changed = whole.clone();
        changed[place] ^= 0x55;
        changed
    };
    let poisons = [
        ("a cached file with other code", changed_at(whole.len() / 2)),
        ("a cached file with another signature", changed_at(10)),
        ("half a cached file", whole[..whole.len() / 2].to_vec()),
        ("an empty cached file", Vec::new()),
    ];
    let mut others = Others::new("poisoned artefacts");
    for (name, poison) in poisons {
        let outcome = others.attacked(name, || {
            fs::write(artefact, &poison).unwrap();
            let stops = load();
            assert_ne!(fs::read(artefact).unwrap(), poison, "{name} was not written again");
            stops
        });
        outcome.unwrap();
    }
    drop(others);
    // What is whole is used as it is: it is not even written.
    fs::write(artefact, &whole).unwrap();
    let before = fs::metadata(artefact).unwrap().modified().unwrap();
    load().unwrap();
    assert_eq!(fs::metadata(artefact).unwrap().modified().unwrap(), before);
}

#[test]
fn a_file_that_no_component_fills_is_not_read_whole() {
    let file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    // It takes no disk.
    file.as_file().set_len(1 << 40).unwrap();
    let error = runtime().load_file(file.path()).unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::Io, "{error}");
    assert!(error.message().contains("larger than 256 MiB"), "{error}");
}
