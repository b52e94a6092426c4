//! Reading `tokenizer_config.json` and the files beside it: named tokens, added tokens, chat templates.
//!
//! The fields are those of transformers' `PreTrainedTokenizerBase`; what concerns only training or padding is skipped.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::chat_template::ChatTemplates;
use crate::tokenizer_json::AddedTokenEntry;

/// The part of `tokenizer_config.json` that inference needs.
#[derive(Deserialize, Default)]
pub(crate) struct TokenizerConfig {
    #[serde(flatten)]
    pub(crate) names: TokenNames,
    /// By id, as text.
    #[serde(default)]
    pub(crate) added_tokens_decoder: BTreeMap<String, AddedTokenEntry>,
    pub(crate) add_bos_token: Option<bool>,
    pub(crate) add_prefix_space: Option<bool>,
    pub(crate) tokenizer_class: Option<String>,
    pub(crate) chat_template: Option<TemplateEntry>,
}

/// The tokens with a role, as `tokenizer_config.json` and `special_tokens_map.json` both name them.
#[derive(Deserialize, Default)]
pub(crate) struct TokenNames {
    bos_token: Option<TokenName>,
    eos_token: Option<TokenName>,
    pad_token: Option<TokenName>,
    unk_token: Option<TokenName>,
    sep_token: Option<TokenName>,
    cls_token: Option<TokenName>,
    mask_token: Option<TokenName>,
    #[serde(default)]
    additional_special_tokens: Option<Vec<TokenName>>,
}

/// A token's name, or the token with its flags.
#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "a token's name must be a string, or an object with the string `content`")]
enum TokenName {
    Name(String),
    Token(AddedTokenEntry),
}

/// `chat_template`: one, or several with names.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`chat_template` must be a string, or a list of objects with `name` and `template`")]
pub(crate) enum TemplateEntry {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
pub(crate) struct NamedTemplate {
    name: String,
    template: String,
}

/// `chat_template.json`, which some processors write instead.
#[derive(Deserialize)]
pub(crate) struct TemplateFile {
    pub(crate) chat_template: Option<TemplateEntry>,
}

/// The names of the tokens with a role in a model's prompts. A chat template can read them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends an answer.
    pub eos: Option<String>,
    /// Fills a batch.
    pub pad: Option<String>,
    /// Stands for what the vocabulary cannot spell.
    pub unk: Option<String>,
    /// Separates texts (BERT).
    pub sep: Option<String>,
    /// Begins a classified text (BERT).
    pub cls: Option<String>,
    /// Hides a token (BERT).
    pub mask: Option<String>,
}

impl TokenName {
    fn content(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Token(token) => &token.content,
        }
    }
}

impl TokenNames {
    /// These names, and `other`'s where these have none.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            bos_token: self.bos_token.or(other.bos_token),
            eos_token: self.eos_token.or(other.eos_token),
            pad_token: self.pad_token.or(other.pad_token),
            unk_token: self.unk_token.or(other.unk_token),
            sep_token: self.sep_token.or(other.sep_token),
            cls_token: self.cls_token.or(other.cls_token),
            mask_token: self.mask_token.or(other.mask_token),
            additional_special_tokens: self.additional_special_tokens.or(other.additional_special_tokens),
        }
    }

    /// Every token named here, as the special token that it is.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = tokenizers::AddedToken> {
        [
            &self.bos_token,
            &self.eos_token,
            &self.pad_token,
            &self.unk_token,
            &self.sep_token,
            &self.cls_token,
            &self.mask_token,
        ]
        .into_iter()
        .flatten()
        .chain(self.additional_special_tokens.iter().flatten())
        .map(|name| match name {
            TokenName::Name(name) => tokenizers::AddedToken::from(name.as_str(), true),
            TokenName::Token(token) => tokenizers::AddedToken { special: true, ..token.clone().into() },
        })
    }

    pub(crate) fn to_special_tokens(&self) -> SpecialTokens {
        let name = |token: &Option<TokenName>| token.as_ref().map(|token| token.content().to_owned());
        SpecialTokens {
            bos: name(&self.bos_token),
            eos: name(&self.eos_token),
            pad: name(&self.pad_token),
            unk: name(&self.unk_token),
            sep: name(&self.sep_token),
            cls: name(&self.cls_token),
            mask: name(&self.mask_token),
        }
    }
}

impl From<TemplateEntry> for ChatTemplates {
    fn from(entry: TemplateEntry) -> Self {
        match entry {
            TemplateEntry::One(source) => Self::one(source),
            TemplateEntry::Named(list) => Self::named(list.into_iter().map(|entry| (entry.name, entry.template))),
        }
    }
}
