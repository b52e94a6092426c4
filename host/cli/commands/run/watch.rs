//! `wasmlx run --watch`: the same prompt is answered again whenever a component's source changes.

use std::path::PathBuf;

use wasmlx::{ComponentRef, Prompt, Slot, SwapOptions};

use super::{Arguments, Loaded, round};
use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::guest::Source;
use crate::interrupt::Interrupt;
use crate::slots::tell_slots;
use crate::watch::{self, Watch};

/// The components that are worked on.
pub(super) struct Watched(Vec<Component>);

struct Component {
    place: Place,
    source: Source,
    /// Whether what its files are now is in its place.
    in_place: bool,
}

enum Place {
    Slot(Slot),
    /// An agent sits in no slot: each run has its own.
    Agent,
}

impl Watched {
    /// Takes the components that are named as files or folders out of the arguments: they sit in the host's slots.
    ///
    /// # Errors
    /// Where there are none, or one is not there.
    pub(super) fn of(arguments: &mut Arguments) -> Result<Self> {
        let components = &mut arguments.components;
        let named = [
            (Place::Slot(Slot::Template), &mut components.template),
            (Place::Slot(Slot::Sampler), &mut components.sampler),
            (Place::Slot(Slot::Chat), &mut components.chat),
            (Place::Agent, &mut arguments.agent),
        ];
        let mut watched = Vec::new();
        for (place, name) in named {
            if let Some(path) = name.as_deref().and_then(path) {
                watched.push(Component { place, source: Source::open(&path)?, in_place: false });
                name.take();
            }
        }
        if watched.is_empty() {
            return Err(Failure::Usage(
                "--watch: there is no source to watch: give --template, --sampler, --chat or --agent a folder"
                    .to_owned(),
            ));
        }
        // What differs from answer to answer is the component's doing, not chance.
        arguments.sampling.seed.get_or_insert(0);
        Ok(Self(watched))
    }

    /// Answers again and again. The model stays loaded; what fails is told, and mended by the next change.
    pub(super) async fn run(
        mut self,
        arguments: &Arguments,
        prompt: &Prompt,
        loaded: &Loaded,
        interrupt: &Interrupt,
        global: &GlobalOptions,
    ) -> Result {
        let mut watch = Watch::new(self.0.iter().flat_map(|component| component.source.files()).collect());
        let mut slots = loaded.host.slot_events();
        let mut agent = arguments.agent.as_deref().map(ComponentRef::from);
        loop {
            let outcome = match self.put_in_place(loaded, &mut agent).await {
                Ok(()) => round(arguments, prompt, agent.clone(), loaded, interrupt, global).await,
                Err(failure) => Err(failure),
            };
            watch::tell(outcome, global)?;
            tell_slots(&mut slots);
            let changed = watch.next(global).await;
            for component in &mut self.0 {
                component.in_place &= !changed.iter().any(|path| component.source.has(path));
            }
        }
    }

    /// Builds what has changed, and swaps it in. Its cases are not asked: they tell what it is to do, and this is for
    /// seeing what it does. One that breaks down in its first turns goes back.
    async fn put_in_place(&mut self, loaded: &Loaded, agent: &mut Option<ComponentRef>) -> Result {
        for component in self.0.iter_mut().filter(|component| !component.in_place) {
            let built = component.source.build(&loaded.host).await?.component;
            match component.place {
                Place::Slot(slot) => {
                    loaded.host.swap_with(slot, built, SwapOptions::new().force(true)).await?;
                }
                Place::Agent => *agent = Some(built),
            }
            component.in_place = true;
        }
        Ok(())
    }
}

/// The path that an option names; none where it is the name of a component that is built in or installed.
fn path(name: &str) -> Option<PathBuf> {
    match ComponentRef::from(name) {
        ComponentRef::Path(path) => Some(path),
        _ => None,
    }
}
