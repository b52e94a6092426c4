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

    /// The files that are wanted.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for a pattern that is none; [`StoreErrorKind::InvalidModel`] where nothing is
    /// wanted, or the repository has no weights that this program runs, and what to look for.
    pub(super) fn choose<'f>(
        &self,
        repository: &str,
        files: &'f [RemoteFile],
    ) -> Result<Vec<&'f RemoteFile>, StoreError> {
        let excluded = patterns(&self.exclude)?;
        let mut chosen = match self.include.is_empty() {
            true => needed(repository, files)?,
            false => {
                let included = patterns(&self.include)?;
                files.iter().filter(|file| included.is_match(&file.path)).collect()
            }
        };
        chosen.retain(|file| !excluded.is_match(&file.path));
        if chosen.is_empty() {
            let message = format!("{repository} has no file that the patterns leave (--include, --exclude)");
            return Err(StoreError::new(StoreErrorKind::InvalidModel, message));
        }
        Ok(chosen)
    }
}

/// What a runner needs.
fn needed<'f>(repository: &str, files: &'f [RemoteFile]) -> Result<Vec<&'f RemoteFile>, StoreError> {
    let weights = weights(files);
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
            () if files.iter().any(|file| !file.path.contains('/') && file.path.ends_with(".safetensors")) => {
                refused(&format!(
                    "its weights in safetensors are neither called model*.safetensors nor named by an index, {INDEX}"
                ))
            }
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
        |file: &&RemoteFile| weights.contains(&&*file.path) || !file.path.contains('/') && beside.is_match(&file.path);
    Ok(files.iter().filter(is_needed).collect())
}

/// The weights in safetensors that a runner loads, one set of them: with an index what it can name, and the index; else
/// the one file, else all of `model*.safetensors`.
fn weights(files: &[RemoteFile]) -> Vec<&str> {
    let names = || files.iter().map(|file| file.path.as_str()).filter(|path| !path.contains('/'));
    let has = |name: &str| names().any(|other| other == name);
    let weights = names().filter(|name| name.ends_with(".safetensors"));
    if !has(INDEX) {
        let has_single = has(SINGLE);
        return weights.filter(|&name| if has_single { name == SINGLE } else { name.starts_with("model") }).collect();
    }
    let has_shards = names().any(is_shard);
    let is_other =
        |name: &str| name.starts_with("consolidated") || name.starts_with("adapter") || has_shards && name == SINGLE;
    let mut named: Vec<&str> = weights.filter(|name| !is_other(name)).collect();
    if !named.is_empty() {
        named.push(INDEX);
    }
    named
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
        let files = files(paths);
        let mut chosen: Vec<String> =
            selection.choose("a/b", &files)?.into_iter().map(|file| file.path.clone()).collect();
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
    }

    #[test]
    fn weights_are_those_that_are_loaded() {
        let of = |paths: &[&str]| weights(&files(paths)).into_iter().map(str::to_owned).collect::<Vec<_>>().join(" ");
        // As mlx-lm and others write them: one file and its index, files by layer.
        assert_eq!(of(&["model.safetensors", INDEX]), format!("model.safetensors {INDEX}"));
        assert_eq!(
            of(&["layers-0.safetensors", "head.safetensors", "consolidated.safetensors", INDEX]),
            format!("layers-0.safetensors head.safetensors {INDEX}")
        );
        assert_eq!(
            of(&["model-1-of-1.safetensors", "mtp.safetensors", "model.safetensors", INDEX]),
            format!("model-1-of-1.safetensors mtp.safetensors {INDEX}")
        );
        assert_eq!(of(&["model.safetensors", "model.fp16.safetensors", "b.safetensors"]), "model.safetensors");
        assert_eq!(
            of(&["model-1-of-2.safetensors", "model-2-of-2.safetensors", "adapter_model.safetensors"]),
            "model-1-of-2.safetensors model-2-of-2.safetensors"
        );
        for none in
            [&["weights.safetensors"][..], &["adapters.safetensors", INDEX], &[INDEX], &["unet/model.safetensors"]]
        {
            assert_eq!(of(none), "", "{none:?}");
        }
    }

    #[test]
    fn what_cannot_be_run_says_why_and_what_to_look_for() {
        let usual = Selection::default();
        let why = |paths: &[&str]| chosen(&usual, paths).unwrap_err().to_string();
        assert!(why(&["config.json", "model.Q4_K_M.gguf"]).contains("GGUF"));
        assert!(why(&["config.json", "pytorch_model.bin"]).contains("pickles"));
        assert!(why(&["config.json"]).contains("no weights"));
        assert!(why(&["config.json", "weights.safetensors"]).contains("model*.safetensors"));
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
