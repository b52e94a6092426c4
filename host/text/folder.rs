//! A model's folder: which tokenizer files it has, and what each contributes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::chat_template::ChatTemplates;
use crate::error::{TextError, TextErrorKind};
use crate::tokenizer_config::{TemplateFile, TokenNames, TokenizerConfig};
use crate::tokenizer_json::{self, Parts};
use crate::vocab_merges::{self, Family};

/// No file of a tokenizer is larger. The largest in use, for vocabularies of 260 thousand entries, take 35 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// What the files of a folder say.
pub(crate) struct Files {
    pub(crate) parts: Parts,
    /// The file that the vocabulary came from, for messages.
    pub(crate) vocabulary_file: PathBuf,
    /// Tokens of other files than the vocabulary's, with the ids that those give them, ascending.
    pub(crate) numbered_tokens: Vec<(u32, tokenizers::AddedToken)>,
    pub(crate) names: TokenNames,
    pub(crate) add_bos_token: Option<bool>,
    pub(crate) chat_templates: ChatTemplates,
}

/// Reads every tokenizer file of `folder`.
pub(crate) fn read(folder: &Path) -> Result<Files, TextError> {
    let config_file = folder.join("tokenizer_config.json");
    let config: TokenizerConfig = read_json(&config_file)?.unwrap_or_default();
    let map: TokenNames = read_json(&folder.join("special_tokens_map.json"))?.unwrap_or_default();

    let mut numbered_tokens = Vec::with_capacity(config.added_tokens_decoder.len());
    for (id, token) in &config.added_tokens_decoder {
        let id: u32 = id.parse().map_err(|_| {
            TextError::invalid_file(&config_file, format!("`added_tokens_decoder` has the key {id:?}, which is no id"))
        })?;
        numbered_tokens.push((id, token.clone().into()));
    }
    numbered_tokens.sort_by_key(|(id, _)| *id);

    let tokenizer_file = folder.join("tokenizer.json");
    let (parts, vocabulary_file) = match read_file(&tokenizer_file)? {
        Some(json) => {
            let parts = tokenizer_json::read(&json).map_err(|why| TextError::invalid_file(&tokenizer_file, why))?;
            (parts, tokenizer_file)
        }
        None => {
            let parts = read_vocab_merges(folder, &config)?;
            if numbered_tokens.is_empty() {
                numbered_tokens = read_added_tokens(folder)?;
            }
            (parts, folder.join("vocab.json"))
        }
    };
    Ok(Files {
        parts,
        vocabulary_file,
        numbered_tokens,
        names: config.names.or(map),
        add_bos_token: config.add_bos_token,
        chat_templates: read_templates(folder)?.or(config.chat_template.map(ChatTemplates::from)).unwrap_or_default(),
    })
}

/// `vocab.json` and `merges.txt`, cut by the rules of the class that the folder's configuration names.
fn read_vocab_merges(folder: &Path, config: &TokenizerConfig) -> Result<Parts, TextError> {
    let (vocab_file, merges_file) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let (vocab, merges) = match (read_file(&vocab_file)?, read_file(&merges_file)?) {
        (Some(vocab), Some(merges)) => (vocab, merges),
        (Some(_), None) => return Err(missing(&merges_file, "and vocab.json needs it")),
        (None, _) if folder.join("tokenizer.model").exists() => {
            return Err(TextError::new(
                TextErrorKind::Unsupported,
                format!(
                    "{} has a SentencePiece tokenizer.model and no tokenizer.json. Load it once with transformers and \
                     save it again, which writes tokenizer.json, or take a conversion that has one.",
                    folder.display()
                ),
            ));
        }
        (None, _) => return Err(missing(&folder.join("tokenizer.json"), "and so is vocab.json")),
    };
    let family = family(folder, config)?;
    let vocab = vocab_merges::read_vocab(&vocab).map_err(|why| TextError::invalid_file(&vocab_file, why))?;
    vocab_merges::read_merges(&merges)
        .and_then(|merges| vocab_merges::build(vocab, merges, family, config.add_prefix_space.unwrap_or_default()))
        .map_err(|why| TextError::invalid_file(&merges_file, why))
}

fn family(folder: &Path, config: &TokenizerConfig) -> Result<Family, TextError> {
    #[derive(Deserialize, Default)]
    struct ModelConfig {
        model_type: Option<String>,
    }
    let (family, named) = match &config.tokenizer_class {
        Some(class) => (Family::of_class(class), format!("its tokenizer_class is {class:?}")),
        None => {
            let model: ModelConfig = read_json(&folder.join("config.json"))?.unwrap_or_default();
            let model_type = model.model_type.unwrap_or_default();
            (
                Family::of_model_type(&model_type),
                format!("it names no tokenizer_class, and its model_type is {model_type:?}"),
            )
        }
    };
    family.ok_or_else(|| {
        TextError::new(
            TextErrorKind::Unsupported,
            format!(
                "{} has no tokenizer.json, and {named}: without that file only the classes of GPT-2 and Qwen2 are \
                 known. Load it once with transformers and save it again, which writes tokenizer.json.",
                folder.display()
            ),
        )
    })
}

/// `added_tokens.json`, a map of tokens to ids. Which of them are special the named tokens tell.
fn read_added_tokens(folder: &Path) -> Result<Vec<(u32, tokenizers::AddedToken)>, TextError> {
    let tokens: BTreeMap<String, u32> = read_json(&folder.join("added_tokens.json"))?.unwrap_or_default();
    let mut tokens: Vec<_> = tokens
        .into_iter()
        .map(|(content, id)| (id, tokenizers::AddedToken::from(content, false).normalized(false)))
        .collect();
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// Templates in files of their own, which take precedence over `tokenizer_config.json`, as in transformers.
fn read_templates(folder: &Path) -> Result<Option<ChatTemplates>, TextError> {
    let mut templates = Vec::new();
    if let Some(source) = read_text(&folder.join("chat_template.jinja"))? {
        templates.push(("default".to_owned(), source));
    }
    let mut others: Vec<PathBuf> = match folder.join("additional_chat_templates").read_dir() {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    others.retain(|path| path.extension().is_some_and(|extension| extension == "jinja"));
    others.sort();
    for path in others {
        if let (Some(name), Some(source)) = (path.file_stem().and_then(|name| name.to_str()), read_text(&path)?) {
            templates.push((name.to_owned(), source));
        }
    }
    if !templates.is_empty() {
        return Ok(Some(ChatTemplates::named(templates)));
    }
    let file: Option<TemplateFile> = read_json(&folder.join("chat_template.json"))?;
    Ok(file.and_then(|file| file.chat_template).map(ChatTemplates::from))
}

/// Reads a file, or nothing where there is none.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TextError> {
    let unreadable = |error: std::io::Error| {
        TextError::new(
            TextErrorKind::FileMissing,
            format!("{} cannot be read: {error}. Check that it is a file you may read.", path.display()),
        )
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let length = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::with_capacity(length.min(MAX_FILE_BYTES) as usize);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TextError::new(
            TextErrorKind::FileTooLarge,
            format!(
                "{} is larger than {} MiB, which no tokenizer is. Download the model again, or ask its author.",
                path.display(),
                MAX_FILE_BYTES >> 20
            ),
        ));
    }
    Ok(Some(bytes))
}

fn read_text(path: &Path) -> Result<Option<String>, TextError> {
    let text = read_file(path)?.map(String::from_utf8).transpose();
    text.map_err(|error| TextError::invalid_file(path, error))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TextError> {
    let json = read_file(path)?.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    json.map_err(|error| TextError::invalid_file(path, error))
}

fn missing(path: &Path, beside: &str) -> TextError {
    TextError::new(
        TextErrorKind::FileMissing,
        format!("{} is missing, {beside}. Download the model again, with its tokenizer.", path.display()),
    )
}
