//! The tests' own guests: core modules in text form (`tests/hostile/`), made components of by the interfaces in `wit/`.

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
        runtime_with(limits)
    });
    RUNTIME.clone()
}

/// A runtime of one's own, with the cache that all have.
pub(crate) fn runtime_with(limits: Limits) -> Runtime {
    let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("components"));
    Runtime::new(RuntimeOptions { cache_dir, limits, ..RuntimeOptions::default() }).unwrap()
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
    /// The file in `tests/hostile/attacks/` that says what it does besides.
    pub(crate) special: Option<&'static str>,
}

/// One that behaves.
pub(crate) const GOOD: Guest = Guest {
    place: 0,
    attack: Attack::None,
    operations: 0,
    hoards: false,
    reads: false,
    max_backtrack: 0,
    special: None,
};

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

    #[cfg(feature = "agents")]
    pub(crate) fn agent(self) -> Component {
        runtime().load("agent", &self.agent_bytes()).unwrap()
    }

    /// Its world imports packages besides this one, which `component` knows nothing of, and the standard streams as
    /// languages' libraries do.
    #[cfg(feature = "agents")]
    pub(crate) fn agent_bytes(self) -> Vec<u8> {
        let mut resolve = wit_parser::Resolve::default();
        resolve.push_dir(root().join("wit")).unwrap();
        resolve.push_source("cli.wit", CLI).unwrap();
        let world = "package test:agent;
            world agent {
                include wasmlx:runner/agent@0.1.0;
                import wasi:cli/stdout@0.2.0;
                import wasi:cli/stderr@0.2.0;
            }";
        let package = resolve.push_source("agent.wit", world).unwrap();
        encode(&self.module("agent"), &resolve, package, "agent")
    }

    fn load(self, guest: &str, world: &str) -> Component {
        self.load_on(&runtime(), guest, world)
    }

    /// The same on a runtime of one's own.
    pub(crate) fn load_on(self, runtime: &Runtime, guest: &str, world: &str) -> Component {
        runtime.load(guest, &component(&self.module(guest), world, "0.1.0")).unwrap()
    }

    /// The text of its core module.
    pub(crate) fn module(self, guest: &str) -> String {
        let read = |name: &str| {
            let path = root().join("tests/hostile").join(name).with_extension("wat");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let mut module = read(guest);
        if let Some(name) = self.special {
            let attack = read(&format!("attacks/{name}"));
            // Its first line: `;; WORLD EXPORT: what it does`.
            let (world, export) = attack.trim_start_matches(";; ").split_once(':').unwrap().0.split_once(' ').unwrap();
            let place = format!(";; [{export}]\n");
            assert!(world == guest && module.contains(&place), "{name} is an attack of a {world}'s {export}");
            let (body, definitions) = attack.split_once(";; [module]\n").unwrap_or((&attack, ""));
            let (body, opening) = body.split_once(";; [open]\n").unwrap_or((body, ""));
            module = module.replace(&place, body).replace("  ;; [module]\n", definitions);
            module = module.replace(";; [open]\n", opening);
        }
        module
            .replace("SECRET", &read("secret"))
            .replace("COMMON", &read("common"))
            .replace("WHERE", &self.place.to_string())
            .replace("WHAT", &(self.attack as u32).to_string())
            .replace("OPERATIONS", &self.operations.to_string())
            .replace("HOARD", &u32::from(self.hoards).to_string())
            .replace("READS", &u32::from(self.reads).to_string())
            .replace("BACKTRACK", &self.max_backtrack.to_string())
    }
}

/// The standard streams of WASI.
#[cfg(feature = "agents")]
const CLI: &str = "package wasi:cli@0.2.0;
    interface stdout {
        use wasi:io/streams@0.2.12.{output-stream};
        get-stdout: func() -> output-stream;
    }
    interface stderr {
        use wasi:io/streams@0.2.12.{output-stream};
        get-stderr: func() -> output-stream;
    }";

/// A component of a module, built for a version of the interfaces.
pub(crate) fn component(module: &str, world: &str, version: &str) -> Vec<u8> {
    component_of(module, world, version, str::to_owned)
}

/// The same of interfaces that are changed first.
pub(crate) fn component_of(module: &str, world: &str, version: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let folder = root().join("wit");
    let mut package = "package wasmlx:runner@0.1.0;\n".to_owned();
    for file in ["types", "template", "grammars", "vocabulary", "logging", "policy", "store", "chat"] {
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
    encode(&module, &resolve, id, world)
}

fn encode(module: &str, resolve: &wit_parser::Resolve, package: wit_parser::PackageId, world: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// The folder of the whole project: of this crate, or of the one whose tests borrow this file.
fn root() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("tests/hostile").is_dir()).unwrap()
}
