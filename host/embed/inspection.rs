//! Looking into a component without running it.

use std::path::PathBuf;

use wasmlx_components::{BUILTIN_NAMES, ComponentKind, Description, KindLimits, Manifest};

use super::blocking;
use super::components::{ComponentRef, wasm_file};
use super::cost::CostCard;
use super::error::Result;
use super::host::Host;
use super::installed::{ComponentSource, Signer};

/// What a component is, and what it may do. Its texts have no control characters: they can be shown as they are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// What it is called: by its manifest where it has one, else by where it comes from.
    pub name: String,
    /// Where it comes from.
    pub origin: ComponentOrigin,
    /// Which slot it is for.
    pub kind: ComponentKind,
    /// The version of `wasmlx:runner` that it was built for: `0.1.0`.
    pub interface: String,
    /// The interfaces that it imports, with their versions: `wasmlx:runner/logits@0.1.0`.
    pub imports: Vec<String>,
    /// What it says of itself and asks for, where it says anything.
    pub manifest: Option<Manifest>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// Its size in bytes, before compilation.
    pub size: u64,
    /// What this host lets it use.
    pub limits: KindLimits,
    /// What it was measured to cost, where it is installed and was.
    pub cost: Option<CostCard>,
    /// Where it came from, where it is installed and that is known.
    pub source: Option<ComponentSource>,
    /// Who signed it, where that was looked at when it was installed.
    pub signer: Option<Signer>,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentOrigin {
    /// With the host.
    BuiltIn,
    /// It was installed, by this name.
    Installed(String),
    /// A file.
    File(PathBuf),
    /// Bytes in memory.
    Memory,
}

impl Host {
    /// Looks into a component. It is neither compiled nor run, and no device or model is needed; whether it can be
    /// loaded [`Host::check_component`] tells.
    ///
    /// # Errors
    /// `NotFound`; `InvalidComponent` for what is no component, or none that this host would load.
    pub async fn inspect_component(&self, component: impl Into<ComponentRef>) -> Result<Inspection> {
        let (this, component) = (self.clone(), component.into());
        blocking::spawn("wasmlx-components", move || this.inspect(&component)).await
    }

    fn inspect(&self, component: &ComponentRef) -> Result<Inspection> {
        let (name, bytes) = self.components().find(component)?;
        let Description { kind, interface, imports, manifest, digest, .. } = Description::read(&name, &bytes)?;
        let installed = match component {
            ComponentRef::Name(name) => {
                self.components().installed().find(name)?.filter(|entry| entry.digest == digest)
            }
            _ => None,
        };
        let origin = match component {
            ComponentRef::Name(name) if BUILTIN_NAMES.contains(&name.as_str()) => ComponentOrigin::BuiltIn,
            ComponentRef::Name(name) => ComponentOrigin::Installed(name.clone()),
            ComponentRef::Path(path) => ComponentOrigin::File(wasm_file(path)?),
            ComponentRef::Bytes { .. } => ComponentOrigin::Memory,
        };
        Ok(Inspection {
            name: manifest.as_ref().map_or_else(|| name.into_owned(), |manifest| manifest.name.clone()),
            origin,
            kind,
            interface,
            imports,
            manifest,
            digest,
            size: bytes.len() as u64,
            limits: self.components().runtime()?.limits().of(kind),
            cost: installed.as_ref().and_then(|entry| entry.cost.as_ref()).and_then(CostCard::read),
            source: installed.as_ref().and_then(|entry| entry.source.clone()),
            signer: installed.and_then(|entry| entry.signer),
        })
    }
}
