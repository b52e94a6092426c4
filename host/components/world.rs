//! What a component says of itself: its world, the version of the interfaces it was built for, what it imports.
//!
//! Read from the outermost sections alone, before anything is compiled, so that a component that cannot run here is
//! refused at once and with a reason.

use std::fmt;

use serde::Deserialize;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use crate::{ComponentError, ComponentErrorKind, plain};

/// The package that the interfaces belong to.
const PACKAGE: &str = "wasmlx:runner/";

/// The versions of the interfaces that this host serves. A later one of these may ask for more than this host has;
/// then it cannot be linked.
pub(crate) const SERVED: &str = "0.1";

/// The version of the interfaces that this host knows, which has all that earlier ones of 0.1 have.
pub(crate) const KNOWN: &str = "0.1.0";

/// Which slot a component is for: the world it was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ComponentKind {
    /// World `prompt-template`.
    Template,
    /// World `sampling-policy`.
    Policy,
    /// World `chat-component`.
    Chat,
    /// World `agent`.
    Agent,
}

impl ComponentKind {
    /// The interface, or the function of the world itself, whose export makes a component one of this kind.
    fn export(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Policy => "policy",
            Self::Chat => "chat",
            Self::Agent => "run",
        }
    }

    /// The interfaces of the package that its world imports. `types` has no functions.
    fn imports(self) -> &'static [&'static str] {
        match self {
            Self::Template => &["types"],
            Self::Policy => &["types", "grammars", "logits", "vocabulary", "logging"],
            Self::Chat => &["types", "models", "contexts", "templates", "tools", "history", "store", "logging"],
            Self::Agent => &[
                "types",
                "models",
                "contexts",
                "templates",
                "tools",
                "history",
                "store",
                "logging",
                "console",
                "key-value",
            ],
        }
    }

    /// The world's name in WIT.
    pub fn world(self) -> &'static str {
        match self {
            Self::Template => "prompt-template",
            Self::Policy => "sampling-policy",
            Self::Chat => "chat-component",
            Self::Agent => "agent",
        }
    }

    /// Its name after an article: `a chat`, `an agent`.
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Template => "a prompt template",
            Self::Policy => "a sampling policy",
            Self::Chat => "a chat",
            Self::Agent => "an agent",
        }
    }

    /// Whether its world has an import.
    fn is_given(self, import: &str) -> bool {
        match own_interface(import) {
            Some((interface, _)) => self.imports().contains(&interface),
            None => self == Self::Agent && is_given_of_wasi(import),
        }
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = self.with_article().split_once(' ').unwrap_or_default();
        f.write_str(name)
    }
}

/// What was read of a component.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) kind: ComponentKind,
    /// The version of `wasmlx:runner` that it was built for: `0.1.0`.
    pub(crate) version: String,
    /// The interfaces that it imports, with their versions.
    pub(crate) imports: Vec<String>,
}

impl World {
    /// Reads the world of a component and checks that this host can serve it.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self, ComponentError> {
        let error = |kind, message: String| ComponentError::new(kind, name, message);
        let (imports, exports) = outer_names(name, bytes)?;
        if let Some(unfit) = imports.iter().chain(&exports).find(|name| name.chars().any(plain::is_unfit)) {
            let message = format!("it is no valid component: {unfit} is no name of an interface");
            return Err(error(ComponentErrorKind::NotAComponent, message));
        }
        let kinds = [ComponentKind::Template, ComponentKind::Policy, ComponentKind::Chat];
        let found = exports.iter().find_map(|export| {
            let (interface, version) = own_interface(export)?;
            Some((kinds.into_iter().find(|kind| kind.export() == interface)?, version))
        });
        // A function has no version of its own; the types of its result have one.
        let found = found.or_else(|| {
            let agent = exports.iter().any(|export| export == ComponentKind::Agent.export());
            let (_, version) = imports.iter().find_map(|import| own_interface(import)).filter(|_| agent)?;
            Some((ComponentKind::Agent, version))
        });
        let Some((kind, version)) = found else {
            return Err(error(
                ComponentErrorKind::MissingExport,
                format!(
                    "it exports {}; a component for this host exports {PACKAGE}template, {PACKAGE}policy or \
                     {PACKAGE}chat, each @{SERVED}.x, or an agent's `run`",
                    listing(&exports)
                ),
            ));
        };
        let foreign = imports.iter().filter_map(|import| own_interface(import)).map(|(_, version)| version);
        if let Some(version) = std::iter::once(version).chain(foreign).find(|version| !is_served(version)) {
            let version = if version.is_empty() { "of no version" } else { version };
            return Err(error(
                ComponentErrorKind::UnsupportedVersion,
                format!("it was built for wasmlx:runner {version}; this host serves {SERVED}"),
            ));
        }
        let denied: Vec<&str> = imports.iter().map(String::as_str).filter(|import| !kind.is_given(import)).collect();
        let world = Self { kind, version: version.to_owned(), imports: imports.clone() };
        if world.is_newer() && !denied.is_empty() && denied.iter().all(|import| own_interface(import).is_some()) {
            let lacks = format!("{} of {KNOWN} is not given {}", kind.with_article(), listing(&denied));
            return Err(error(ComponentErrorKind::UnsupportedVersion, world.too_new(&lacks)));
        }
        if !denied.is_empty() {
            let granted: Vec<String> = kind.imports().iter().map(|import| format!("{PACKAGE}{import}")).collect();
            return Err(error(
                ComponentErrorKind::ImportDenied,
                match kind {
                    ComponentKind::Agent => format!(
                        "it imports {}, which no agent is given; its world imports {}, and of WASI 0.2 clocks, \
                         randomness, standard streams, the environment, folders and outgoing HTTP",
                        listing(&denied),
                        listing(&granted)
                    ),
                    _ => format!(
                        "it imports {}, which a {kind} is not given; its world imports {} and nothing else. Build it \
                         without WASI: for wasm32-unknown-unknown in Rust, with stubs in other languages",
                        listing(&denied),
                        listing(&granted)
                    ),
                },
            ));
        }
        Ok(world)
    }

    /// Whether it was built for a later version than this host knows, which may have more in it.
    pub(crate) fn is_newer(&self) -> bool {
        patch(&self.version) > patch(KNOWN)
    }

    /// That it is, where it does need more.
    pub(crate) fn too_new(&self, lacks: &str) -> String {
        let version = &self.version;
        format!("it was built for wasmlx:runner {version}; this host knows {KNOWN}: {lacks}. Use a newer wasmlx")
    }
}

/// The last number of `0.1.7`.
fn patch(version: &str) -> u64 {
    let patch = version.strip_prefix(SERVED).and_then(|patch| patch.strip_prefix('.')).unwrap_or_default();
    let digits = patch.find(|c: char| !c.is_ascii_digit()).map_or(patch, |end| &patch[..end]);
    digits.parse().unwrap_or(0)
}

/// What of WASI 0.2 an agent may import: what its world has, and what the standard libraries of languages bring along
/// besides. What it gets of these the user's grants say.
const WASI: [&str; 22] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

fn is_given_of_wasi(import: &str) -> bool {
    import.split_once('@').is_some_and(|(interface, version)| WASI.contains(&interface) && version.starts_with("0.2."))
}

/// `("policy", "0.1.0")` of `wasmlx:runner/policy@0.1.0`; none of a name of another package.
fn own_interface(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(name.split_once('@').unwrap_or((name, "")))
}

pub(crate) fn is_served(version: &str) -> bool {
    version == SERVED || version.strip_prefix(SERVED).is_some_and(|patch| patch.starts_with('.'))
}

/// The names of a component's own imports and exports.
fn outer_names(name: &str, bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), ComponentError> {
    let invalid = |message: String| ComponentError::new(ComponentErrorKind::NotAComponent, name, message);
    if !bytes.starts_with(b"\0asm") {
        let hint = match std::str::from_utf8(bytes).ok().map(str::trim_start) {
            Some(text) if text.starts_with("(component") => "; it is the text form, which must be assembled first",
            _ => "",
        };
        return Err(invalid(format!("it is no WebAssembly: its first bytes are not `\\0asm`{hint}")));
    }
    let torn = |error: wasmparser::BinaryReaderError| invalid(format!("it is no valid component: {error}"));
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        let payload = match parser.parse(rest, true).map_err(torn)? {
            wasmparser::Chunk::Parsed { consumed, payload } => {
                rest = &rest[consumed..];
                payload
            }
            wasmparser::Chunk::NeedMoreData(_) => {
                return Err(invalid("it is no valid component: it is cut off".into()));
            }
        };
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                return Err(invalid(
                    "it is a core module, not a component. `wasmlx component build` makes components, and so does \
                     `wasm-tools component new` from a module that wit-bindgen was used for"
                        .into(),
                ));
            }
            // What lies inside is none of the outer names: the parser has counted it, its bytes are stepped over.
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                let length = unchecked_range.len();
                rest = rest.get(length..).ok_or_else(|| invalid("it is no valid component: it is cut off".into()))?;
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(torn)?;
                    // A type is nothing that one could be given: it names one of an interface's.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    exports.push(export.map_err(torn)?.name.name.to_owned());
                }
            }
            Payload::End(_) => return Ok((imports, exports)),
            _ => {}
        }
    }
}

/// `a, b and c`; `nothing` of none.
fn listing(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wat: &str) -> Result<World, ComponentError> {
        World::read("probe", &wat::parse_str(wat).unwrap())
    }

    fn exporting(name: &str) -> String {
        format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)
    }

    #[test]
    fn the_world_is_that_of_the_export() {
        let world = read(&exporting("wasmlx:runner/policy@0.1.7")).unwrap();
        assert_eq!(world, World { kind: ComponentKind::Policy, version: "0.1.7".into(), imports: Vec::new() });
    }

    #[test]
    fn a_version_from_the_future_is_named() {
        let error = read(&exporting("wasmlx:runner/chat@0.2.0")).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::UnsupportedVersion);
        assert_eq!(error.to_string(), "component probe: it was built for wasmlx:runner 0.2.0; this host serves 0.1");
        // 0.10 is not 0.1.
        let error = read(&exporting("wasmlx:runner/chat@0.10.0")).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::UnsupportedVersion);
    }

    #[test]
    fn a_name_that_would_move_the_cursor_is_none() {
        let error = read(&exporting("wasmlx:runner/policy@0.1.0\\1b[2J")).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::NotAComponent, "{error}");
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }

    #[test]
    fn an_interface_of_a_later_patch_is_no_denied_import() {
        let importing = |import: &str| {
            read(&format!(
                r#"(component
                    (import "{import}" (instance))
                    (instance $i) (export "wasmlx:runner/policy@0.1.12" (instance $i)))"#
            ))
            .unwrap_err()
        };
        let error = importing("wasmlx:runner/weather@0.1.12");
        assert_eq!(error.kind(), ComponentErrorKind::UnsupportedVersion);
        let expected = format!(
            "component probe: it was built for wasmlx:runner 0.1.12; this host knows {KNOWN}: a sampling policy of \
             {KNOWN} is not given wasmlx:runner/weather@0.1.12. Use a newer wasmlx"
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(importing("wasi:clocks/wall-clock@0.2.0").kind(), ComponentErrorKind::ImportDenied);
    }

    #[test]
    fn the_known_version_is_that_of_the_interfaces() {
        let wit = include_str!("../../wit/types.wit");
        assert!(wit.contains(&format!("package wasmlx:runner@{KNOWN};")), "{KNOWN}");
    }

    #[test]
    fn a_missing_export_tells_what_there_is() {
        let error = read(&exporting("other:package/thing@1.0.0")).unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::MissingExport);
        assert!(error.to_string().contains("it exports other:package/thing@1.0.0; "), "{error}");
        assert!(read("(component)").unwrap_err().to_string().contains("it exports nothing; "));
    }

    #[test]
    fn imports_that_are_not_granted_are_named() {
        let error = read(
            r#"(component
                (import "wasmlx:runner/types@0.1.0" (instance))
                (import "wasi:clocks/wall-clock@0.2.0" (instance))
                (import "wasmlx:runner/tools@0.1.0" (instance))
                (instance $i) (export "wasmlx:runner/policy@0.1.0" (instance $i)))"#,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::ImportDenied);
        let expected = "it imports wasi:clocks/wall-clock@0.2.0 and wasmlx:runner/tools@0.1.0, which a sampling policy";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        for (bytes, expected) in [
            (&b"\0asm\x01\0\0\0"[..], "core module"),
            (b"(component)", "text form"),
            (b"hello", "no WebAssembly"),
            (b"\0asm\x0d\0\x01\0\x01\x20", "cut off"),
        ] {
            let error = World::read("probe", bytes).unwrap_err();
            assert_eq!(error.kind(), ComponentErrorKind::NotAComponent, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn names_inside_nested_components_do_not_count() {
        let error =
            read(r#"(component (component (instance $i) (export "wasmlx:runner/policy@0.1.0" (instance $i))))"#)
                .unwrap_err();
        assert_eq!(error.kind(), ComponentErrorKind::MissingExport);
    }
}
