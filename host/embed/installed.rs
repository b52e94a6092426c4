//! Installed components: kept under the host's home, and found by their names from then on.

use std::path::PathBuf;

use wasmlx_components::{BUILTIN_NAMES, Description, builtin};
use wasmlx_store::ComponentEntry;

pub use wasmlx_store::{ComponentSource, Signer, is_component_name};

use super::blocking;
use super::cases::{self, TestReport};
use super::components::{ComponentRef, cases_folder};
use super::cost::{self, CostCard};
use super::error::{Error, ErrorKind, Result};
use super::host::Host;
use super::swap::passed;

/// How a component is to be installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallOptions {
    name: Option<String>,
    cases: Option<PathBuf>,
    untested: bool,
}

impl InstallOptions {
    /// By the name in its manifest, else by what it is called, once its own cases have passed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name to find it by.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The folder of its cases. Without it: `cases` beside its file, where there is one.
    #[must_use]
    pub fn cases(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cases = Some(folder.into());
        self
    }

    /// Whether to install it without running anything of it: neither its cases, nor to measure what it costs.
    #[must_use]
    pub fn untested(mut self, untested: bool) -> Self {
        self.untested = untested;
        self
    }
}

/// What installing came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InstallReport {
    /// What is installed now.
    pub component: ListedComponent,
    /// What its own cases came to, where it has any and they were run.
    pub cases: Option<TestReport>,
    /// Why its cost could not be measured, where that was tried.
    pub unmeasured: Option<Error>,
    /// What its name stood for before.
    pub replaced: Option<ListedComponent>,
}

/// A component that can be found by its name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListedComponent {
    /// The name.
    pub name: String,
    /// Whether it comes with the host; else it was installed.
    pub built_in: bool,
    /// Which slot it is for, in words: `prompt template`.
    pub kind: String,
    /// Its own version, where its manifest says one.
    pub version: Option<String>,
    /// What it says of itself, where it says anything.
    pub description: Option<String>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// What it was measured to cost, where it was.
    pub cost: Option<CostCard>,
    /// Where an installed one came from, where that is known.
    pub source: Option<ComponentSource>,
    /// Who signed it, where that was looked at when it was installed.
    pub signer: Option<Signer>,
}

/// Where a component comes from, and who signed it.
pub(super) struct Provenance {
    pub(super) source: Option<ComponentSource>,
    pub(super) signer: Option<Signer>,
}

/// The components that can be found by their names.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ComponentList {
    /// Those that come with the host, then those that were installed, by name.
    pub components: Vec<ListedComponent>,
    /// Installed ones whose entry on disk cannot be used, by name, and why.
    pub broken: Vec<(String, Error)>,
}

impl Host {
    /// Installs a component: checks that it loads, runs its own cases, measures what it costs, and keeps it. It is
    /// found by its name from then on, by every host with this home; what the name stood for before is replaced.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; `CasesFailed` tells which of its cases do not come out; `InvalidInput` for a
    /// name that is none, or that a component which comes with the host has. Then nothing is installed.
    pub async fn install_component(
        &self,
        component: impl Into<ComponentRef>,
        options: InstallOptions,
    ) -> Result<InstallReport> {
        let (this, component) = (self.clone(), component.into());
        let source = match &component {
            ComponentRef::Path(path) => Some(ComponentSource::of_file(path)),
            _ => None,
        };
        let provenance = Provenance { source, signer: None };
        blocking::spawn("wasmlx-components", move || this.install(&component, options, provenance)).await
    }

    /// The components that can be found by their names.
    ///
    /// # Errors
    /// `Io` where the folder of installed components cannot be read.
    pub fn list_components(&self) -> Result<ComponentList> {
        let mut components = Vec::new();
        for name in BUILTIN_NAMES {
            let description = Description::read(name, builtin(name).unwrap_or_default())?;
            components.push(ListedComponent { built_in: true, ..ListedComponent::described(name, &description) });
        }
        let listing = self.components().installed().list()?;
        components.extend(listing.entries.into_iter().map(ListedComponent::from));
        let broken = listing.broken.into_iter().map(|(name, error)| (name, error.into())).collect();
        Ok(ComponentList { components, broken })
    }

    /// Removes an installed component by its name, or by its digest all names that stand for it. Eight digits of the
    /// digest are enough. The names that are gone.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for a component that comes with the host; `Io`.
    pub fn remove_component(&self, name_or_digest: &str) -> Result<Vec<String>> {
        if BUILTIN_NAMES.contains(&name_or_digest) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format_args!("{name_or_digest} comes with the host and cannot be removed"),
            ));
        }
        Ok(self.components().installed().remove(name_or_digest)?)
    }

    pub(super) fn install(
        &self,
        component: &ComponentRef,
        options: InstallOptions,
        provenance: Provenance,
    ) -> Result<InstallReport> {
        let (called, bytes) = self.components().find(component)?;
        let description = Description::read(&called, &bytes)?;
        let of_manifest = description.manifest.as_ref().map(|manifest| manifest.name.clone());
        let name = options.name.or(of_manifest).unwrap_or_else(|| called.into_owned());
        check_name(&name)?;
        // Under the name that it is about to have.
        let loaded = self.components().runtime()?.load(&name, &bytes)?;
        let folder = options.cases.or_else(|| cases_folder(component)).filter(|_| !options.untested);
        let cases =
            folder.as_ref().map(|folder| passed(cases::run(&loaded, folder)?, "install it untested (`--no-test`)"));
        let cases = cases.transpose()?;
        let (cost, unmeasured) = if options.untested {
            (None, None)
        } else {
            let all = folder.map(|folder| cases::all(&folder)).transpose()?.unwrap_or_default();
            match cost::measure(&loaded, &bytes, None, &all) {
                Ok(card) => (Some(card), None),
                Err(error) => (None, Some(error)),
            }
        };
        let Provenance { source, signer } = provenance;
        let component = ListedComponent { cost, source, signer, ..ListedComponent::described(&name, &description) };
        let before = self.components().installed().add(component.clone().into(), &bytes)?;
        Ok(InstallReport { component, cases, unmeasured, replaced: before.map(ListedComponent::from) })
    }
}

impl ListedComponent {
    fn described(name: &str, description: &Description) -> Self {
        let manifest = description.manifest.as_ref();
        Self {
            name: name.to_owned(),
            built_in: false,
            kind: description.kind.to_string(),
            version: manifest.map(|manifest| manifest.version.clone()),
            description: manifest.map(|manifest| manifest.description.clone()).and_then(non_empty),
            digest: description.digest.clone(),
            size: description.size as u64,
            cost: None,
            source: None,
            signer: None,
        }
    }
}

impl From<ListedComponent> for ComponentEntry {
    fn from(listed: ListedComponent) -> Self {
        let ListedComponent { name, digest, size, kind, version, description, cost, source, signer, .. } = listed;
        let [version, description] = [version, description].map(Option::unwrap_or_default);
        let cost = cost.map(|card| card.to_value());
        Self { name, digest, size, kind, version, description, cost, source, signer }
    }
}

impl From<ComponentEntry> for ListedComponent {
    fn from(entry: ComponentEntry) -> Self {
        let ComponentEntry { name, digest, size, kind, version, description, cost, source, signer } = entry;
        let [version, description] = [version, description].map(non_empty);
        let cost = cost.as_ref().and_then(CostCard::read);
        Self { name, built_in: false, kind, version, description, digest, size, cost, source, signer }
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// That a name is one, and nothing else's.
fn check_name(name: &str) -> Result<()> {
    if let Some(taken) = BUILTIN_NAMES.into_iter().find(|built_in| built_in.eq_ignore_ascii_case(name)) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format_args!("{taken} comes with the host, so nothing else can be installed by that name"),
        )
        .with_hint("choose another name"));
    }
    if !is_component_name(name) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format_args!(
                "{name:?} is no name to install a component by: it is made of at most 64 letters, digits, `-`, `_` and \
                 `.`, begins with a letter or digit, and does not end in .wasm"
            ),
        )
        .with_hint("choose another name"));
    }
    Ok(())
}
