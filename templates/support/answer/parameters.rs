//! What the parameters of a tool are, by their JSON Schema: whether `007`, written without a type, is a string.

use crate::Tool;
use crate::json::Json;

/// The most schemas that are looked at for one parameter: they may refer to each other in circles.
const MOST_SCHEMAS: usize = 64;

/// The parameters of one tool.
#[derive(Debug)]
pub(super) struct Parameters {
    /// The schema of its arguments; `null` where there is none.
    schema: Json,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters { schema: Json::Null }
    }
}

impl Parameters {
    /// Those of the tool of this name. A tool that was not offered, and one whose schema cannot be read, has none.
    pub(super) fn of(tools: &[Tool], name: &str) -> Parameters {
        let tool = tools.iter().find(|tool| tool.name == name);
        let schema = tool.and_then(|tool| Json::read(&tool.parameters).ok());
        Parameters { schema: schema.unwrap_or(Json::Null) }
    }

    /// An argument's text as JSON.
    ///
    /// What reads as a number, an object, a list, `true`, `false` or `null` is that, in Python's spelling too, and all
    /// else is a string; but what the schema allows as a string alone stays one, whatever it reads as.
    pub(super) fn json(&self, name: &str, text: &str) -> String {
        let trimmed = match text.trim() {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            trimmed => trimmed,
        };
        let types = self.types(name);
        let is_string = |value: &Json| match value {
            Json::String(_) => true,
            _ => types.contains(&"string") && !names_of(value).iter().any(|name| types.contains(name)),
        };
        match Json::read(trimmed) {
            Ok(value) if !is_string(&value) => trimmed.to_owned(),
            _ => Json::from(text).dumps(),
        }
    }

    /// The types that a parameter may have, as JSON Schema calls them; none where nothing says so.
    fn types(&self, name: &str) -> Vec<&str> {
        let mut types = Vec::new();
        let mut schemas = Vec::new();
        schemas.extend(self.schema.get("properties").and_then(|properties| properties.get(name)));
        let mut seen = 0;
        while let Some(schema) = schemas.pop()
            && seen < MOST_SCHEMAS
        {
            seen += 1;
            match schema.get("type") {
                Some(Json::String(name)) => types.push(name.as_str()),
                Some(names) => types.extend(names.items().iter().filter_map(Json::as_str)),
                None => {}
            }
            let values = schema.get("enum").map_or(&[][..], Json::items).iter().chain(schema.get("const"));
            values.flat_map(names_of).for_each(|name| types.push(name));
            for combined in ["anyOf", "oneOf", "allOf"] {
                schemas.extend(schema.get(combined).map_or(&[][..], Json::items));
            }
            schemas.extend(schema.get("$ref").and_then(Json::as_str).and_then(|path| self.part(path)));
        }
        types
    }

    /// The part of the schema that a reference such as `#/$defs/City` names.
    fn part(&self, reference: &str) -> Option<&Json> {
        let mut names = reference.strip_prefix("#/")?.split('/');
        names.try_fold(&self.schema, |part, name| part.get(name))
    }
}

/// The types that a value has.
fn names_of(value: &Json) -> &'static [&'static str] {
    match value {
        Json::Null => &["null"],
        Json::Bool(_) => &["boolean"],
        Json::Integer(_) => &["integer", "number"],
        Json::Float(_) => &["number"],
        Json::String(_) => &["string"],
        Json::Array(_) => &["array"],
        Json::Object(_) => &["object"],
    }
}
