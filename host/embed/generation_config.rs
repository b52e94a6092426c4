//! What a model's folder says about its answers: which tokens end them, and how it wants to be sampled.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::{Error, ErrorKind, Result};

/// `generation_config.json`, and what `config.json` says of the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GenerationConfig {
    /// Ids that end an answer, sorted.
    pub(crate) end_tokens: Vec<u32>,
    /// Sampling parameters by the names that policies know.
    pub(crate) sampling: Map<String, Value>,
}

impl GenerationConfig {
    /// Reads both files of a folder; `generation_config.json` may be missing.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let config = json_file(&folder.join("config.json"))?.unwrap_or_default();
        let generation = json_file(&folder.join("generation_config.json"))?;
        let mut end_tokens = ids(config.get("eos_token_id"));
        end_tokens.extend(ids(generation.as_ref().and_then(|generation| generation.get("eos_token_id"))));
        end_tokens.sort_unstable();
        end_tokens.dedup();
        Ok(Self { end_tokens, sampling: sampling(generation.as_ref()) })
    }
}

/// One id or a list of them.
fn ids(value: Option<&Value>) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What `generation_config.json` says of sampling, else temperature 0.7 and top-p 0.9.
///
/// A file that only names end tokens says nothing of sampling. One that says something leaves the rest off, as
/// transformers does (but for its `top_k` of 50 where nothing is said, which no other runner shares).
fn sampling(generation: Option<&Map<String, Value>>) -> Map<String, Value> {
    const NAMES: [&str; 5] = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty"];
    let mut parameters = Map::new();
    if let Some(generation) = generation {
        if generation.get("do_sample").and_then(Value::as_bool) == Some(false) {
            parameters.insert("temperature".to_owned(), json!(0));
            return parameters;
        }
        for name in NAMES {
            if let Some(value) = generation.get(name).filter(|value| value.is_number()) {
                parameters.insert(name.to_owned(), value.clone());
            }
        }
    }
    if parameters.is_empty() {
        parameters.insert("temperature".to_owned(), json!(0.7));
        parameters.insert("top_p".to_owned(), json!(0.9));
    } else {
        parameters.entry("temperature").or_insert(json!(1.0));
        parameters.entry("top_p").or_insert(json!(1.0));
    }
    parameters
}

/// No more of a file is read. Those in use have a few kilobytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A JSON object in a file; none where there is no such file.
fn json_file(path: &Path) -> Result<Option<Map<String, Value>>> {
    let mut text = String::new();
    // A file that is cut off by the bound is no JSON object.
    match fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, &error)),
    }
    match serde_json::from_str(&text) {
        Ok(object) => Ok(Some(object)),
        Err(error) => Err(Error::new(
            ErrorKind::InvalidModel,
            format_args!("{} is not the JSON object it should be: {error}", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(files: &[(&str, &str)]) -> GenerationConfig {
        GenerationConfig::read(folder(files).path()).unwrap()
    }

    #[test]
    fn end_tokens_of_both_files_in_either_form() {
        let config = read(&[
            ("config.json", r#"{"eos_token_id": 7}"#),
            ("generation_config.json", r#"{"eos_token_id": [9, 7, 2]}"#),
        ]);
        assert_eq!(config.end_tokens, [2, 7, 9]);
    }

    #[test]
    fn sampling_is_the_models_own_or_the_default() {
        let sampling = |text| Value::Object(read(&[("generation_config.json", text)]).sampling);
        assert_eq!(
            sampling(r#"{"temperature": 0.6, "top_k": 20}"#),
            json!({"temperature": 0.6, "top_k": 20, "top_p": 1.0})
        );
        assert_eq!(sampling(r#"{"top_p": 0.8}"#), json!({"top_p": 0.8, "temperature": 1.0}));
        assert_eq!(sampling(r#"{"do_sample": false, "temperature": 0.6}"#), json!({"temperature": 0}));
        assert_eq!(sampling(r#"{"eos_token_id": 2}"#), json!({"temperature": 0.7, "top_p": 0.9}));
        assert_eq!(Value::Object(read(&[]).sampling), json!({"temperature": 0.7, "top_p": 0.9}));
    }

    #[test]
    fn a_torn_file_is_named() {
        let folder = folder(&[("generation_config.json", "{\"temperature\": ")]);
        let error = GenerationConfig::read(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        assert!(error.to_string().contains("generation_config.json"), "{error}");
    }
}
