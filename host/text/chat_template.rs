//! The Jinja chat templates that a model brings along.

/// A model's own chat templates, by name. Nearly all models have one, named `default`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatTemplates {
    /// In the order of the files they came from.
    templates: Vec<(String, String)>,
}

/// The name of the template that is used where nothing calls for another.
const DEFAULT: &str = "default";

/// The name of the template that is used where tools are given.
const TOOL_USE: &str = "tool_use";

impl ChatTemplates {
    /// The source of the template with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.templates.iter().find(|(own, _)| own == name).map(|(_, source)| source.as_str())
    }

    /// The source of the template to use for a conversation: the one named `tool_use` where tools are given and the
    /// model has one, else the one named `default`. This is how transformers chooses.
    pub fn choose(&self, with_tools: bool) -> Option<&str> {
        with_tools.then(|| self.get(TOOL_USE)).flatten().or_else(|| self.get(DEFAULT))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the model has no template.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    pub(crate) fn one(source: String) -> Self {
        Self::named([(DEFAULT.to_owned(), source)])
    }

    pub(crate) fn named(templates: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { templates: templates.into_iter().collect() }
    }
}
