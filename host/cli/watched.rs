//! Components that are worked on, in the places where they serve.

use std::path::PathBuf;

use wasmlx::{ComponentRef, Host, Slot, SwapOptions};

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::guest::Source;
use crate::options::ComponentOptions;
use crate::watch::Watch;

/// Components whose files are watched, each in its slot of the host.
pub(crate) struct Watched {
    components: Vec<Component>,
    /// An agent sits in no slot: each run is given it.
    agent: Option<ComponentRef>,
    watch: Watch,
}

struct Component {
    place: Place,
    source: Source,
    /// Whether what its files are now is in its place.
    in_place: bool,
}

enum Place {
    Slot(Slot),
    Agent,
}

impl Watched {
    /// Takes the components that are named as files or folders out of the options; chats find them in the host's slots.
    ///
    /// # Errors
    /// Where there are none, or one is not there.
    pub(crate) fn of(options: &mut ComponentOptions, agent: &mut Option<String>) -> Result<Self> {
        let named = [
            (Place::Slot(Slot::Template), &mut options.template),
            (Place::Slot(Slot::Sampler), &mut options.sampler),
            (Place::Slot(Slot::Chat), &mut options.chat),
            (Place::Agent, &mut *agent),
        ];
        let mut components = Vec::new();
        for (place, name) in named {
            if let Some(path) = name.as_deref().and_then(path) {
                components.push(Component { place, source: Source::open(&path)?, in_place: false });
                name.take();
            }
        }
        if components.is_empty() {
            return Err(Failure::Usage(
                "--watch: there is no source to watch: name a component by its folder, ./mine".to_owned(),
            ));
        }
        let watch = Watch::new(components.iter().flat_map(|component| component.source.files()).collect());
        Ok(Self { components, agent: agent.as_deref().map(ComponentRef::from), watch })
    }

    /// The agent, as it was last built.
    pub(crate) fn agent(&self) -> Option<ComponentRef> {
        self.agent.clone()
    }

    /// Builds what has changed, and swaps it in. Its cases are not asked: they tell what it is to do, and this is for
    /// seeing what it does. One that breaks down in its first turns goes back.
    ///
    /// # Errors
    /// Of the first that cannot be built, or that a chat does not take.
    pub(crate) async fn put_in_place(&mut self, host: &Host) -> Result {
        for component in self.components.iter_mut().filter(|component| !component.in_place) {
            let built = component.source.build(host).await?.component;
            match component.place {
                Place::Slot(slot) => {
                    let report = host.swap_with(slot, built, SwapOptions::new().force(true)).await?;
                    component.in_place = true;
                    if let Some(error) = report.declined.into_iter().next() {
                        return Err(error.into());
                    }
                }
                Place::Agent => {
                    self.agent = Some(built);
                    component.in_place = true;
                }
            }
        }
        Ok(())
    }

    /// Waits until a file changes.
    pub(crate) async fn next(&mut self, global: &GlobalOptions) {
        let changed = self.watch.next(global).await;
        self.note(&changed);
    }

    /// Whether files have changed since this or [`Watched::next`] was last asked.
    pub(crate) async fn has_changed(&mut self, global: &GlobalOptions) -> bool {
        let changed = self.watch.settled(global).await;
        self.note(&changed);
        !changed.is_empty()
    }

    fn note(&mut self, changed: &[PathBuf]) {
        for component in &mut self.components {
            component.in_place &= !changed.iter().any(|path| component.source.has(path));
        }
    }
}

/// The path that an option names; none where it is the name of a component that is built in or installed.
fn path(name: &str) -> Option<PathBuf> {
    match ComponentRef::from(name) {
        ComponentRef::Path(path) => Some(path),
        _ => None,
    }
}
