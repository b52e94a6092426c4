//! The scores of the next token, as a lazy value on the device.

use std::any::Any;

use crate::BackendError;

/// Scores of every token of the vocabulary, `[vocabulary]`, on the device.
///
/// The lazy operations change the handle in place. Filters (`top_p`, `min_p`, `xtc`, `top_k`) look at the
/// probabilities: the first filter after a change of scores normalises them to log-probabilities, and a filter sets
/// what it drops to minus infinity *without* normalising again, so a chain of filters computes what mlx-lm 0.32's
/// `make_sampler` computes.
pub trait Logits: Send {
    /// Multiplies each score.
    fn scale(&mut self, factor: f32) -> Result<(), BackendError>;
    /// Adds to the scores of some tokens; tokens outside the vocabulary are an error.
    fn bias(&mut self, biases: &[(u32, f32)]) -> Result<(), BackendError>;
    /// Forbids every token but these.
    fn allow(&mut self, tokens: &[u32]) -> Result<(), BackendError>;
    /// Forbids every token whose bit is not set: that of token `t` is bit `t % 32` of word `t / 32`. Bits beyond the
    /// vocabulary mean nothing, and tokens beyond the words are forbidden.
    fn allow_mask(&mut self, mask: &[u32]) -> Result<(), BackendError>;
    /// Forbids these tokens.
    fn forbid(&mut self, tokens: &[u32]) -> Result<(), BackendError>;
    /// Lowers the scores of tokens that occur.
    fn penalise(&mut self, penalties: &Penalties<'_>) -> Result<(), BackendError>;
    /// Keeps the `k` best tokens; 0 or more than the vocabulary keeps all.
    fn top_k(&mut self, k: u32) -> Result<(), BackendError>;
    /// Keeps the fewest tokens whose probabilities add up to more than `p`, `0 < p`; 1 and more keeps all.
    fn top_p(&mut self, p: f32) -> Result<(), BackendError>;
    /// Keeps tokens whose probability is at least `p` times the best one's, and at least `min_keep` tokens.
    fn min_p(&mut self, p: f32, min_keep: u32) -> Result<(), BackendError>;
    /// With `probability`, drops the tokens above `threshold` but the least likely of them. `special` tokens (end of
    /// turn, newline) are never dropped.
    fn xtc(&mut self, probability: f32, threshold: f32, special: &[u32], key: SampleKey) -> Result<(), BackendError>;
    /// `self * (1 - weight) + other * weight`.
    fn mix(&mut self, other: &dyn Logits, weight: f32) -> Result<(), BackendError>;
    /// A second handle on the same scores.
    fn fork(&self) -> Result<Box<dyn Logits>, BackendError>;
    /// Draws a token from the softmax of the scores.
    fn sample(&mut self, key: SampleKey) -> Result<Box<dyn Token>, BackendError>;
    /// The best token.
    fn argmax(&mut self) -> Result<Box<dyn Token>, BackendError>;
    /// Hands what is built so far to the device without waiting, so that it computes while the host does other work.
    fn start(&self) -> Result<(), BackendError>;

    /// Reads: the `k` best tokens with their log-probabilities (natural logarithm), best first.
    fn top(&mut self, k: u32) -> Result<Vec<(u32, f32)>, BackendError>;
    /// Reads: the entropy of the distribution in nats.
    fn entropy(&mut self) -> Result<f32, BackendError>;
    /// Reads: log-probabilities of some tokens.
    fn logprobs(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BackendError>;
    /// Reads: all scores.
    fn read(&mut self) -> Result<Vec<f32>, BackendError>;

    /// For its own backend, to see its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// Penalties for repetition, as mlx-lm's `make_logits_processors` defines them; applied in the order of the fields.
#[derive(Debug, Clone, Copy)]
pub struct Penalties<'a> {
    /// The tokens that count, in order and with repetitions.
    pub tokens: &'a [u32],
    /// Divides positive scores and multiplies negative ones (arXiv:1909.05858); 1 changes nothing.
    pub repetition: f32,
    /// Subtracted once from each token that occurs.
    pub presence: f32,
    /// Subtracted as often as a token occurs.
    pub frequency: f32,
}

/// What a random draw depends on, and nothing else: no neighbour in a batch, no earlier request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// The request's seed.
    pub seed: u64,
    /// The index of the token to be chosen in its text.
    pub position: u32,
    /// How many draws came before in this step.
    pub draw: u32,
}

impl SampleKey {
    /// 64 well-mixed bits of the three numbers: two rounds of SplitMix64's finaliser (Steele, Lea, Flood 2014,
    /// "Fast splittable pseudorandom number generators").
    pub fn bits(self) -> u64 {
        fn mix(mut z: u64) -> u64 {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        mix(mix(self.seed) ^ (u64::from(self.position) << 32 | u64::from(self.draw)))
    }
}

/// A chosen token that the device may not have computed yet.
pub trait Token: Send {
    /// Hands it to the device without waiting.
    fn start(&self) -> Result<(), BackendError>;
    /// Reads: its id, waiting for the device.
    fn read(&self) -> Result<u32, BackendError>;
    /// A second handle on the same token.
    fn fork(&self) -> Box<dyn Token>;
    /// For its own backend, to see its own type again.
    fn as_any(&self) -> &dyn Any;
}
