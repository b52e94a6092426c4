//! The JSON parameters of the shipped sampling policies, and the chain of steps that they mean.
//!
//! `default-policy` hands the chain to the host as a plan; `classic` runs the same chain itself. Both take it from
//! here, so they cannot differ.

mod fields;
mod object;

use std::ops::RangeInclusive;

pub use fields::{Fields, InvalidParameters};

/// Below this a temperature is taken for 0: dividing by it would overflow, and the best token's lead over the next
/// has grown beyond chance long before.
const GREEDY_BELOW: f32 = 1e-5;

/// How the next token is chosen. Names, defaults and meanings are mlx-lm's, but for temperature and top-p, whose
/// defaults are those of this program.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Scores are divided by it; 0 takes the best token.
    pub temperature: f32,
    /// Keep the fewest tokens whose probabilities add up to more than this; 0 and 1 keep all.
    pub top_p: f32,
    /// Keep so many of the best tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep tokens at least so many times as likely as the best; 0 keeps all.
    pub min_p: f32,
    /// But let `min_p` keep so many tokens.
    pub min_keep: u32,
    /// How often `xtc_threshold` is applied; 0 is never.
    pub xtc_probability: f32,
    /// Then drop every token more likely than this but the least likely of them.
    pub xtc_threshold: f32,
    /// Divides the scores of tokens that occurred (arXiv:1909.05858); 0 and 1 change nothing.
    pub repetition_penalty: f32,
    /// Subtracted once from the score of each token that occurred.
    pub presence_penalty: f32,
    /// Subtracted from it as often as it occurred.
    pub frequency_penalty: f32,
    /// How many of the last tokens count as having occurred.
    pub penalty_window: u32,
    /// Added to the scores of tokens, by id.
    pub logit_bias: Vec<(u32, f32)>,
    /// In place of the request's own seed.
    pub seed: Option<u64>,
}

/// One step of a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Add to the scores of tokens.
    Bias(Vec<(u32, f32)>),
    /// Lower the scores of tokens that occurred.
    Penalties {
        /// Divides positive scores, multiplies negative ones.
        repetition: f32,
        /// Subtracted once.
        presence: f32,
        /// Subtracted as often as the token occurred.
        frequency: f32,
        /// How many of the last tokens count.
        window: u32,
    },
    /// Keep the fewest tokens that are together more likely than this.
    TopP(f32),
    /// Keep tokens so many times as likely as the best, but at least a number of them.
    MinP {
        /// How many times as likely.
        p: f32,
        /// How many at least.
        min_keep: u32,
    },
    /// Now and then, drop the likely tokens but the least likely of them.
    Xtc {
        /// How often.
        probability: f32,
        /// What is likely.
        threshold: f32,
    },
    /// Keep so many of the best tokens.
    TopK(u32),
    /// Divide the scores and draw; 0 takes the best token. Every chain ends with it.
    Temperature(f32),
}

impl Parameters {
    /// Reads a JSON object; what it leaves out has its default.
    ///
    /// # Errors
    /// Names the parameter that is unknown, of a wrong type or out of its range.
    pub fn parse(json: &str) -> Result<Self, InvalidParameters> {
        let mut fields = Fields::parse(json)?;
        const SHARE: RangeInclusive<f32> = 0.0..=1.0;
        const FINITE: RangeInclusive<f32> = f32::MIN..=f32::MAX;
        let parameters = Self {
            temperature: fields.number("temperature", 0.0..=f32::MAX, "a number of at least 0")?.unwrap_or(0.7),
            top_p: fields.number("top_p", SHARE, "a number from 0 to 1")?.unwrap_or(0.9),
            top_k: fields.number("top_k", .., "a whole number")?.unwrap_or(0),
            min_p: fields.number("min_p", SHARE, "a number from 0 to 1")?.unwrap_or(0.0),
            min_keep: fields.number("min_keep", 1.., "a whole number of at least 1")?.unwrap_or(1),
            xtc_probability: fields.number("xtc_probability", SHARE, "a number from 0 to 1")?.unwrap_or(0.0),
            xtc_threshold: fields.number("xtc_threshold", 0.0..=0.5, "a number from 0 to 0.5")?.unwrap_or(0.1),
            repetition_penalty: fields
                .number("repetition_penalty", 0.0..=f32::MAX, "a number of at least 0")?
                .unwrap_or(1.0),
            presence_penalty: fields.number("presence_penalty", FINITE, "a number")?.unwrap_or(0.0),
            frequency_penalty: fields.number("frequency_penalty", FINITE, "a number")?.unwrap_or(0.0),
            penalty_window: fields.number("penalty_window", 1.., "a whole number of at least 1")?.unwrap_or(20),
            logit_bias: fields.token_numbers("logit_bias")?,
            seed: fields.number("seed", .., "a whole number of at most 64 bits")?,
        };
        fields.finish()?;
        Ok(parameters)
    }

    /// The steps that these parameters mean, in mlx-lm's order, without those that would change nothing.
    ///
    /// At temperature 0 the filters are left out as well, as in mlx-lm: none but xtc could drop the best token,
    /// and that one is for drawing.
    pub fn chain(&self) -> Vec<Step> {
        let greedy = self.temperature < GREEDY_BELOW;
        let repetition = if self.repetition_penalty == 0.0 { 1.0 } else { self.repetition_penalty };
        let penalises = repetition != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0;
        let step = |applies: bool, step: Step| applies.then_some(step);
        [
            step(!self.logit_bias.is_empty(), Step::Bias(self.logit_bias.clone())),
            step(
                penalises,
                Step::Penalties {
                    repetition,
                    presence: self.presence_penalty,
                    frequency: self.frequency_penalty,
                    window: self.penalty_window,
                },
            ),
            step(!greedy && 0.0 < self.top_p && self.top_p < 1.0, Step::TopP(self.top_p)),
            step(!greedy && self.min_p > 0.0, Step::MinP { p: self.min_p, min_keep: self.min_keep }),
            step(
                !greedy && self.xtc_probability > 0.0,
                Step::Xtc { probability: self.xtc_probability, threshold: self.xtc_threshold },
            ),
            step(!greedy && self.top_k > 0, Step::TopK(self.top_k)),
            Some(Step::Temperature(if greedy { 0.0 } else { self.temperature })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests;
