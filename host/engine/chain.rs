//! The fixed sampling chain that the engine runs by itself.

use wasmlx_backend::{BackendError, Logits, Penalties, SampleKey, Token};

use crate::{EngineError, EngineErrorKind};

/// A fixed chain of sampling steps, in the order of mlx-lm 0.32 (`sample_utils.py`: `make_logits_processors`, then
/// `make_sampler`): bias, penalties, top-p, min-p, xtc, top-k, temperature, sample. Each part that is none changes
/// nothing. The default takes the best token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// Added to the scores of some tokens.
    pub bias: Vec<(u32, f32)>,
    /// Lowers the scores of tokens that occur in the text.
    pub penalties: Option<ChainPenalties>,
    /// Keeps the fewest tokens whose probabilities add up to more than this (arXiv:1904.09751); 1 keeps all.
    pub top_p: Option<f32>,
    /// `(p, min_keep)`: keeps tokens at least `p` times as likely as the best, and at least `min_keep`
    /// (arXiv:2407.01082).
    pub min_p: Option<(f32, u32)>,
    /// `(probability, threshold)`: with that probability, drops the tokens above the threshold but the least likely
    /// of them.
    pub xtc: Option<(f32, f32)>,
    /// Tokens that `xtc` never drops: ends of turns, the newline.
    pub xtc_special: Vec<u32>,
    /// Keeps the `k` best tokens; 0 keeps all.
    pub top_k: Option<u32>,
    /// Divides the scores before the draw. 0 takes the best token after bias and penalties, and no filter matters.
    pub temperature: f32,
    /// In place of the request's seed.
    pub seed: Option<u64>,
}

/// Penalties for tokens that occur among the last of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainPenalties {
    /// Divides positive scores and multiplies negative ones (arXiv:1909.05858); 1 changes nothing.
    pub repetition: f32,
    /// Subtracted once from each token that occurs.
    pub presence: f32,
    /// Subtracted as often as a token occurs.
    pub frequency: f32,
    /// How many of the last tokens count, prompt included. mlx-lm's default is 20.
    pub window: u32,
}

impl Default for ChainPenalties {
    fn default() -> Self {
        Self { repetition: 1.0, presence: 0.0, frequency: 0.0, window: 20 }
    }
}

impl Chain {
    /// The best token, always.
    pub fn greedy() -> Self {
        Self::default()
    }

    /// How many tokens before the one to be chosen the chain looks at. Where it is 0, the engine queues a step before
    /// it has read the one before.
    pub fn window(&self) -> usize {
        self.penalties.map_or(0, |penalties| penalties.window as usize)
    }

    /// Chooses a token. Lazy.
    ///
    /// `recent` ends with the token before the one to be chosen and holds at least the last [`Chain::window`] tokens
    /// of the text, or all of a shorter one. `key` is that of the request; its seed gives way to the chain's own.
    /// `xtc` and the sampling each take one draw of it.
    pub fn sample(
        &self,
        mut logits: Box<dyn Logits>,
        recent: &[u32],
        mut key: SampleKey,
    ) -> Result<Box<dyn Token>, BackendError> {
        if let Some(seed) = self.seed {
            key.seed = seed;
        }
        if !self.bias.is_empty() {
            logits.bias(&self.bias)?;
        }
        if let Some(penalties) = &self.penalties {
            logits.penalise(&Penalties {
                tokens: &recent[recent.len().saturating_sub(self.window())..],
                repetition: penalties.repetition,
                presence: penalties.presence,
                frequency: penalties.frequency,
            })?;
        }
        if self.temperature == 0.0 {
            return logits.argmax();
        }
        if let Some(p) = self.top_p.filter(|&p| p > 0.0 && p < 1.0) {
            logits.top_p(p)?;
        }
        if let Some((p, min_keep)) = self.min_p.filter(|&(p, _)| p > 0.0) {
            logits.min_p(p, min_keep)?;
        }
        if let Some((probability, threshold)) = self.xtc.filter(|&(probability, _)| probability > 0.0) {
            logits.xtc(probability, threshold, &self.xtc_special, key)?;
            key.draw += 1;
        }
        if let Some(k) = self.top_k.filter(|&k| k > 0) {
            logits.top_k(k)?;
        }
        if self.temperature != 1.0 {
            logits.scale(1.0 / self.temperature)?;
        }
        logits.sample(key)
    }

    /// Whether every number lies where its step is defined.
    ///
    /// # Errors
    /// [`EngineErrorKind::InvalidInput`] that names the number.
    pub fn validate(&self, vocabulary_size: u32) -> Result<(), EngineError> {
        let check = |right: bool, what: &str, value: &dyn std::fmt::Display, range: &str| {
            if right {
                return Ok(());
            }
            Err(EngineError::new(EngineErrorKind::InvalidInput, format!("{what} is {value}; it must be {range}")))
        };
        for &(token, bias) in &self.bias {
            check(token < vocabulary_size, "a biased token", &token, &format!("less than {vocabulary_size}"))?;
            check(bias < f32::INFINITY, "a token's bias", &bias, "a number, or negative infinity to forbid the token")?;
        }
        if let Some(penalties) = &self.penalties {
            let positive = penalties.repetition > 0.0 && penalties.repetition.is_finite();
            check(positive, "the repetition penalty", &penalties.repetition, "more than 0")?;
            check(penalties.presence.is_finite(), "the presence penalty", &penalties.presence, "a number")?;
            check(penalties.frequency.is_finite(), "the frequency penalty", &penalties.frequency, "a number")?;
        }
        if let Some(p) = self.top_p {
            check(p > 0.0, "top-p", &p, "more than 0; 1 keeps every token")?;
        }
        if let Some((p, _)) = self.min_p {
            check((0.0..=1.0).contains(&p), "min-p", &p, "from 0 to 1")?;
        }
        if let Some((probability, threshold)) = self.xtc {
            check((0.0..=1.0).contains(&probability), "xtc's probability", &probability, "from 0 to 1")?;
            check((0.0..=0.5).contains(&threshold), "xtc's threshold", &threshold, "from 0 to 0.5")?;
        }
        for &token in &self.xtc_special {
            let range = format!("less than {vocabulary_size}");
            check(token < vocabulary_size, "a token that xtc never drops", &token, &range)?;
        }
        // Scores are multiplied by its inverse.
        let inverse = 1.0 / self.temperature;
        let warm = self.temperature == 0.0 || (inverse > 0.0 && inverse.is_finite());
        check(warm, "the temperature", &self.temperature, "0, or at least 3e-39")
    }
}
