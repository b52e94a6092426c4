//! What the fake device answers, where it fails and where it waits.

use std::collections::BTreeMap;

use super::gate::Gate;
use super::vocabulary::VOCABULARY_SIZE;
use crate::{BackendError, BackendErrorKind, ModelInfo, SampleKey};

/// How many files a fake model has.
pub(super) const FILES: u64 = 3;

/// How many bytes each of them has.
pub(super) const FILE_BYTES: u64 = 1 << 20;

/// How much better a scripted token is than any other: no temperature of a test draws another one.
const SCRIPTED_SCORE: f32 = 1e6;

type Scores = Box<dyn Fn(&[u32]) -> Vec<f32> + Send + Sync>;

/// What a fake device does. Passes (of both kinds, `forward` and `prefill`) and loads are numbered from 0, over the
/// whole life of the device.
pub struct FakeScript {
    info: ModelInfo,
    seed: u64,
    scores: Option<Scores>,
    says: BTreeMap<usize, u32>,
    failures: BTreeMap<u64, BackendErrorKind>,
    panics: BTreeMap<u64, String>,
    gates: BTreeMap<u64, Gate>,
    load_failures: BTreeMap<u64, BackendErrorKind>,
    load_gates: BTreeMap<u64, Gate>,
    loaded_gates: BTreeMap<u64, Gate>,
    never_truncates: bool,
    room: Option<usize>,
}

impl Default for FakeScript {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeScript {
    /// A model with the vocabulary of [`tokenizer_json`](super::tokenizer_json), a context of 4,096 tokens, and scores
    /// between -4 and 4 by a hash of all tokens before them.
    pub fn new() -> Self {
        Self {
            info: ModelInfo::new("fake", VOCABULARY_SIZE, 4096),
            seed: 0,
            scores: None,
            says: BTreeMap::new(),
            failures: BTreeMap::new(),
            panics: BTreeMap::new(),
            gates: BTreeMap::new(),
            load_failures: BTreeMap::new(),
            load_gates: BTreeMap::new(),
            loaded_gates: BTreeMap::new(),
            never_truncates: false,
            room: None,
        }
    }

    /// Another hash.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many tokens there are, for a tokenizer of another kind.
    pub fn vocabulary_size(mut self, tokens: u32) -> Self {
        self.info.vocabulary_size = tokens;
        self
    }

    /// The most tokens the model holds.
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.info.context_length = tokens;
        self
    }

    /// Scores by this function of all tokens before them; one for each token of the vocabulary.
    pub fn scores(mut self, scores: impl Fn(&[u32]) -> Vec<f32> + Send + Sync + 'static) -> Self {
        self.scores = Some(Box::new(scores));
        self
    }

    /// From this position of the text on, these tokens are by far the best, whatever came before.
    pub fn says(mut self, position: usize, tokens: &[u32]) -> Self {
        self.says.extend(tokens.iter().enumerate().map(|(index, &token)| (position + index, token)));
        self
    }

    /// The device fails at this pass, which shows where something that depends on it is read.
    pub fn fail_pass(mut self, pass: u64, kind: BackendErrorKind) -> Self {
        self.failures.insert(pass, kind);
        self
    }

    /// The backend panics with this text where this pass is queued.
    pub fn panic_pass(mut self, pass: u64, text: &str) -> Self {
        self.panics.insert(pass, text.into());
        self
    }

    /// The device comes no further than this pass until the gate is opened: what reads this pass or a later one waits.
    pub fn hold_pass(mut self, pass: u64, gate: &Gate) -> Self {
        self.gates.insert(pass, gate.clone());
        self
    }

    /// This load fails before it reads a file.
    pub fn fail_load(mut self, load: u64, kind: BackendErrorKind) -> Self {
        self.load_failures.insert(load, kind);
        self
    }

    /// This load waits at the gate before it reads a file.
    pub fn hold_load(mut self, load: u64, gate: &Gate) -> Self {
        self.load_gates.insert(load, gate.clone());
        self
    }

    /// This load waits at the gate when it has read its last file, and asks nobody any more whether to go on.
    pub fn hold_loaded(mut self, load: u64, gate: &Gate) -> Self {
        self.loaded_gates.insert(load, gate.clone());
        self
    }

    /// Caches cannot go back, as rotating ones cannot.
    pub fn never_truncate(mut self) -> Self {
        self.never_truncates = true;
        self
    }

    /// The device has room for so many tokens in all its caches together. A pass beyond fails where it is read, a fork
    /// at once.
    pub fn room(mut self, tokens: usize) -> Self {
        self.room = Some(tokens);
        self
    }

    pub(super) fn info(&self) -> ModelInfo {
        ModelInfo { parameters: FILES * FILE_BYTES / 4, weight_bytes: FILES * FILE_BYTES, ..self.info.clone() }
    }

    pub(super) fn most_tokens(&self) -> Option<usize> {
        self.room
    }

    pub(super) fn never_truncates(&self) -> bool {
        self.never_truncates
    }

    /// What comes of queueing a pass.
    pub(super) fn at_pass(&self, pass: u64) -> Result<(), BackendError> {
        if let Some(text) = self.panics.get(&pass) {
            panic!("{text}");
        }
        scripted(self.failures.get(&pass), "pass", pass)
    }

    pub(super) fn at_load(&self, load: u64) -> Result<(), BackendError> {
        if let Some(gate) = self.load_gates.get(&load) {
            gate.pass();
        }
        scripted(self.load_failures.get(&load), "load", load)
    }

    pub(super) fn at_loaded(&self, load: u64) {
        if let Some(gate) = self.loaded_gates.get(&load) {
            gate.pass();
        }
    }

    /// Waits until the device has come past this pass.
    pub(super) fn wait_for(&self, pass: u64) {
        for gate in self.gates.range(..=pass).map(|(_, gate)| gate) {
            gate.pass();
        }
    }

    /// The scores after these tokens, whose hash is this.
    pub(super) fn scores_after(&self, tokens: &[u32], hash: u64) -> Vec<f32> {
        let mut scores = match &self.scores {
            Some(scores) => scores(tokens),
            None => (0..self.info.vocabulary_size).map(|token| self.hashed_score(hash, token)).collect(),
        };
        let said = self.says.get(&tokens.len()).and_then(|&token| scores.get_mut(token as usize));
        if let Some(score) = said {
            *score = SCRIPTED_SCORE;
        }
        scores
    }

    fn hashed_score(&self, hash: u64, token: u32) -> f32 {
        let bits = SampleKey { seed: hash ^ self.seed, position: token, draw: 0 }.bits();
        // The upper 24 bits are all that an f32 can tell apart.
        (bits >> 40) as f32 / (1 << 24) as f32 * 8.0 - 4.0
    }
}

fn scripted(kind: Option<&BackendErrorKind>, what: &str, number: u64) -> Result<(), BackendError> {
    match kind {
        Some(&kind) => Err(BackendError::new(kind, format!("the script lets {what} {number} fail"))),
        None => Ok(()),
    }
}
