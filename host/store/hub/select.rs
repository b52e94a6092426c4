//! Which of a repository's files a runner needs.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::RemoteFile;
use crate::{StoreError, StoreErrorKind};

/// What is needed beside the weights, where it is there: what the model is, how text becomes tokens, how prompts are
/// written, how it likes to be sampled, and what may be done with it. None of it lies in a folder.
const NEEDED: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "*.tiktoken",
    "chat_template.json",
    "chat_template.jinja",
    "README*",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
];

/// The index of weights that lie in several files.
const INDEX: &str = "model.safetensors.index.json";

/// The weights of one file.
const SINGLE: &str = "model.safetensors";

/// Which files are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Patterns, such as `*.json`, of the files that are wanted in place of those that a runner needs. A `*` stands for
    /// slashes too.
    pub include: Vec<String>,
    /// Patterns of files that are not wanted.
    pub exclude: Vec<String>,
}

impl Selection {
    /// Whether it says anything.
    pub(super) fn is_usual(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// The files that are wanted, in the order in which they are fetched: small ones first, so that what cannot be had
    /// is known early.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for a pattern that is none; [`StoreErrorKind::InvalidModel`] where nothing is
    /// wanted, or the repository has no weights that this program runs, and what to look for.
    pub(super) fn choose(&self, repository: &str, files: Vec<RemoteFile>) -> Result<Vec<RemoteFile>, StoreError> {
        let excluded = patterns(&self.exclude)?;
        let mut chosen = match self.include.is_empty() {
            true => needed(repository, files)?,
            false => {
                let included = patterns(&self.include)?;
                files.into_iter().filter(|file| included.is_match(&file.path)).collect()
            }
        };
        chosen.retain(|file| !excluded.is_match(&file.path));
        if chosen.is_empty() {
            let message = format!("{repository} has no file that the patterns leave (--include, --exclude)");
            return Err(StoreError::new(StoreErrorKind::InvalidModel, message));
        }
        chosen.sort_by(|one, other| (one.size, &one.path).cmp(&(other.size, &other.path)));
        Ok(chosen)
    }
}

/// What a runner needs.
fn needed(repository: &str, files: Vec<RemoteFile>) -> Result<Vec<RemoteFile>, StoreError> {
    let weights = weights(&files);
    let has = |end: &str| files.iter().any(|file| file.path.ends_with(end));
    let (has_gguf, has_config) = (has(".gguf"), files.iter().any(|file| file.path == "config.json"));
    let refused = |why: &str| {
        let (_, name) = repository.split_once('/').unwrap_or(("", repository));
        let message = format!(
            "{repository} cannot be run here: {why}. Look for the same model in safetensors, as its makers and \
             mlx-community publish them: `wasmlx search {name}`"
        );
        Err(StoreError::new(StoreErrorKind::InvalidModel, message))
    };
    if weights.is_empty() {
        return match () {
            () if has_gguf => refused("its weights are GGUF, which is the format of llama.cpp"),
            () if has(".bin") || has(".pt") || has(".pth") => {
                refused("its weights are PyTorch's pickles, which may run code where they are read")
            }
            () => refused("it has no weights in safetensors"),
        };
    }
    if !has_config {
        return refused("it has no config.json, which says what the weights are of");
    }
    let beside = patterns(&NEEDED.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    let is_needed =
        |file: &RemoteFile| weights.contains(&file.path) || !file.path.contains('/') && beside.is_match(&file.path);
    Ok(files.into_iter().filter(is_needed).collect())
}

/// The weights in safetensors, one set of them: the shards with their index, else the one file, else whatever there is
/// but for what is no model by itself.
fn weights(files: &[RemoteFile]) -> Vec<String> {
    let names = || files.iter().map(|file| file.path.as_str()).filter(|path| !path.contains('/'));
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut shards: Vec<&str> = names().filter(|name| is_shard(name)).collect();
    if !shards.is_empty() && names().any(|name| name == INDEX) {
        shards.push(INDEX);
        return owned(shards);
    }
    if names().any(|name| name == SINGLE) {
        return owned(vec![SINGLE]);
    }
    let others = names().filter(|name| {
        name.ends_with(".safetensors") && !name.starts_with("consolidated") && !name.starts_with("adapter")
    });
    owned(others.collect())
}

/// `model-00001-of-00004.safetensors`.
fn is_shard(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let middle = name.strip_prefix("model-").and_then(|rest| rest.strip_suffix(".safetensors"));
    middle.and_then(|middle| middle.split_once("-of-")).is_some_and(|(one, all)| number(one) && number(all))
}

fn patterns(patterns: &[String]) -> Result<GlobSet, StoreError> {
    let mut set = GlobSetBuilder::new();
    let invalid =
        |error: globset::Error| StoreError::new(StoreErrorKind::InvalidInput, format!("no pattern of files: {error}"));
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(invalid)?);
    }
    set.build().map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, PartialKey};

    fn files(paths: &[&str]) -> Vec<RemoteFile> {
        let file = |(number, path): (usize, &&str)| RemoteFile {
            path: (*path).to_owned(),
            size: number as u64,
            key: PartialKey::Sha256(Digest::of(path.as_bytes())),
        };
        paths.iter().enumerate().map(file).collect()
    }

    fn chosen(selection: &Selection, paths: &[&str]) -> Result<Vec<String>, StoreError> {
        let mut chosen: Vec<String> =
            selection.choose("a/b", files(paths))?.into_iter().map(|file| file.path).collect();
        chosen.sort();
        Ok(chosen)
    }

    #[test]
    fn a_runner_needs_one_set_of_weights_and_what_is_said_of_them() {
        let usual = Selection::default();
        let paths = [
            "config.json",
            "tokenizer.json",
            "README.md",
            "model.safetensors",
            "pytorch_model.bin",
            "onnx/config.json",
            "model.Q4.gguf",
            ".gitattributes",
            "image.png",
            "original/consolidated.00.pth",
        ];
        assert_eq!(
            chosen(&usual, &paths).unwrap(),
            ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
        );
        let paths = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "consolidated.safetensors",
            "model.safetensors",
        ];
        assert_eq!(chosen(&usual, &paths).unwrap(), ["config.json", paths[1], paths[2], paths[3]]);
        assert_eq!(
            chosen(&usual, &["config.json", "weights.safetensors"]).unwrap(),
            ["config.json", "weights.safetensors"]
        );
    }

    #[test]
    fn what_cannot_be_run_says_why_and_what_to_look_for() {
        let usual = Selection::default();
        let why = |paths: &[&str]| chosen(&usual, paths).unwrap_err().to_string();
        assert!(why(&["config.json", "model.Q4_K_M.gguf"]).contains("GGUF"));
        assert!(why(&["config.json", "pytorch_model.bin"]).contains("pickles"));
        assert!(why(&["config.json"]).contains("no weights"));
        assert!(why(&["model.safetensors"]).contains("no config.json"));
        assert!(why(&["README.md"]).contains("`wasmlx search b`"));
    }

    #[test]
    fn patterns_choose_otherwise() {
        let paths = ["config.json", "model.safetensors", "onnx/model.onnx", "README.md"];
        let select = |include: &[&str], exclude: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&pattern| pattern.to_owned()).collect();
            chosen(&Selection { include: owned(include), exclude: owned(exclude) }, &paths)
        };
        assert_eq!(select(&[], &["README*"]).unwrap(), ["config.json", "model.safetensors"]);
        assert_eq!(select(&["*.json", "onnx/*"], &[]).unwrap(), ["config.json", "onnx/model.onnx"]);
        assert_eq!(select(&["*"], &["*.json"]).unwrap().len(), 3);
        assert_eq!(select(&["*.gguf"], &[]).unwrap_err().kind(), StoreErrorKind::InvalidModel);
        assert_eq!(select(&["[a"], &[]).unwrap_err().kind(), StoreErrorKind::InvalidInput);
    }
}
