//! The tests' own guests: core modules in text form, made components of by the interfaces in `wit/`.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use wasmlx_components::{Component, Limits, Runtime, RuntimeOptions};
use wit_component::{ComponentEncoder, StringEncoding};

/// What a guest does where it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    None,
    Loop,
    MemoryBomb,
    Recursion,
    Trap,
}

impl Attack {
    pub(crate) const ALL: [Self; 4] = [Self::Loop, Self::MemoryBomb, Self::Recursion, Self::Trap];
}

/// A runtime whose limits are reached soon. Its cache makes a second run of the tests a quick one.
pub(crate) fn runtime() -> Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let soon = std::time::Duration::from_millis(30);
        let limits = Limits {
            template_memory: 8 << 20,
            policy_memory: 4 << 20,
            chat_memory: 8 << 20,
            template_call: soon,
            policy_setup: soon,
            chat_slice: soon,
            ..Limits::default()
        };
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("components"));
        Runtime::new(RuntimeOptions { cache_dir, limits }).unwrap()
    });
    RUNTIME.clone()
}

/// A guest whose export number `place` misbehaves; 0 is its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guest {
    pub(crate) place: u32,
    pub(crate) attack: Attack,
    pub(crate) operations: u32,
    pub(crate) hoards: bool,
    pub(crate) reads: bool,
    pub(crate) max_backtrack: u32,
}

/// One that behaves.
pub(crate) const GOOD: Guest =
    Guest { place: 0, attack: Attack::None, operations: 0, hoards: false, reads: false, max_backtrack: 0 };

impl Guest {
    pub(crate) fn policy(self) -> Component {
        self.load("policy", "sampling-policy")
    }

    pub(crate) fn template(self) -> Component {
        self.load("template", "prompt-template")
    }

    pub(crate) fn chat(self) -> Component {
        self.load("chat", "chat-component")
    }

    fn load(self, guest: &str, world: &str) -> Component {
        runtime().load(guest, &component(&self.module(guest), world, "0.1.0")).unwrap()
    }

    /// The text of its core module.
    pub(crate) fn module(self, guest: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/components/guests");
        let read = |name: &str| fs::read_to_string(folder.join(name).with_extension("wat")).unwrap();
        read(guest)
            .replace("COMMON", &read("common"))
            .replace("WHERE", &self.place.to_string())
            .replace("WHAT", &(self.attack as u32).to_string())
            .replace("OPERATIONS", &self.operations.to_string())
            .replace("HOARD", &u32::from(self.hoards).to_string())
            .replace("READS", &u32::from(self.reads).to_string())
            .replace("BACKTRACK", &self.max_backtrack.to_string())
    }
}

/// A component of a module, built for a version of the interfaces.
pub(crate) fn component(module: &str, world: &str, version: &str) -> Vec<u8> {
    component_of(module, world, version, str::to_owned)
}

/// The same of interfaces that are changed first.
pub(crate) fn component_of(module: &str, world: &str, version: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut package = "package wasmlx:runner@0.1.0;\n".to_owned();
    for file in ["types", "template", "logging", "policy", "chat"] {
        let text = fs::read_to_string(folder.join(file).with_extension("wit")).unwrap();
        let is_header = |line: &&str| line.starts_with("package ") || line.starts_with("/// The interfaces between");
        package.extend(
            text.lines()
                .skip_while(|line| !is_header(line))
                .filter(|line| !is_header(line))
                .flat_map(|line| [line, "\n"]),
        );
    }
    let version = format!("@{version}");
    let (package, module) = (change(&package).replace("@0.1.0", &version), module.replace("@0.1.0", &version));
    let mut resolve = wit_parser::Resolve::default();
    let id = resolve.push_source("runner.wit", &package).unwrap();
    let world = resolve.select_world(&[id], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
