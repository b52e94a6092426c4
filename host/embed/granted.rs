//! What the user grants a session's component, and the models among it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmlx_components::{Component, Grants, Permissions, TemplateSetup};

use super::blocking;
use super::chat_places::template_of;
use super::error::Result;
use super::model::Model;
use super::slots::Occupant;

/// A session's grants. Each model has a template as it is configured for that model.
pub(crate) struct Granted {
    grants: Grants,
    /// The template that the user named for the session, which is that of these models too.
    template: Occupant,
    tools: bool,
    models: Mutex<Vec<(Model, Arc<TemplateSetup>)>>,
}

impl Granted {
    pub(crate) fn new(grants: Grants, template: Occupant, tools: bool) -> Self {
        Self { grants, template, tools, models: Mutex::default() }
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The models that were loaded so far. Which of them a component is given is seen to at each of its calls.
    pub(crate) fn models(&self) -> Vec<Model> {
        self.lock().iter().map(|(model, _)| model.clone()).collect()
    }

    /// The template of one of them.
    pub(crate) fn template(&self, name: &str) -> Option<Arc<TemplateSetup>> {
        self.lock().iter().find(|(model, _)| model.name() == name).map(|(_, template)| Arc::clone(template))
    }

    /// Loads the models that a component is given besides `chosen`, and tells the log what does not meet.
    ///
    /// # Errors
    /// As [`Host::load`](crate::Host::load), for the first that cannot be loaded.
    pub(crate) async fn load(&self, chosen: &Model, component: &Component) -> Result<()> {
        let permissions = Permissions::new(component, &self.grants);
        for sentence in permissions.unmet() {
            tracing::warn!("{sentence}");
        }
        for name in permissions.models() {
            if name == chosen.name() || self.template(name).is_some() {
                continue;
            }
            let model = chosen.host().load(name).await?;
            if model.name() == chosen.name() || self.template(model.name()).is_some() {
                continue;
            }
            let (loading, template, tools) = (model.clone(), self.template.clone(), self.tools);
            let make = move || template_of(&loading, tools, &template);
            let template = blocking::spawn("wasmlx-components", make).await?;
            self.lock().push((model, template));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Model, Arc<TemplateSetup>)>> {
        // Each use leaves a whole list behind, even where it panics.
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
