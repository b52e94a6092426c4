//! Mirostat 2.0 (Basu, Ramachandran, Keskar, Varshney: arXiv:2007.14966).
//!
//! The surprise of a token is `-log2` of its probability. Tokens more surprising than `mu` are dropped, one of the
//! others is drawn, and `mu` moves against what the drawn one's surprise had above the target:
//! `mu -= eta * (surprise - tau)`. So the average surprise of the text goes to `tau`. As in the paper, a token's
//! surprise is that under the model's own probabilities, not under those of the tokens kept.
//!
//! Which token was drawn is known one step later, when its scores are gone. So a step remembers the surprises of
//! the tokens it keeps, and the next one looks up there the token it is given.

use sampling_parameters::{Fields, InvalidParameters};

/// More tokens are never read or kept. `n` tokens of probability `2^-mu` or more have `n <= 2^mu`, so it cuts
/// nothing off while `mu` is at most 10 bits; it starts there for the usual `tau` of 5, and rises above it where a
/// model stays surer than the target asks, whose unlikely tokens are then none to miss.
const MOST_CANDIDATES: f32 = 1024.0;

/// The state of one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mirostat {
    /// The surprise to keep to, in bits.
    tau: f32,
    /// How fast `mu` follows.
    eta: f32,
    /// The surprise above which tokens are dropped, in bits.
    mu: f32,
    /// The tokens that the last step kept, with their surprises.
    kept: Vec<(u32, f32)>,
}

impl Mirostat {
    /// `{"tau": 5, "eta": 0.1, "mu": 10}`; without `mu` it starts at twice `tau`, as the paper has it.
    pub(crate) fn parse(params: &str) -> Result<Self, InvalidParameters> {
        let mut fields = Fields::parse(params)?;
        let tau = fields.number("tau", 0.0..=100.0, "a number of bits from 0 to 100")?.unwrap_or(5.0);
        let eta = fields.number("eta", 0.0..=1.0, "a number from 0 to 1")?.unwrap_or(0.1);
        let mu = fields.number("mu", 0.0..=100.0, "a number of bits from 0 to 100")?.unwrap_or(2.0 * tau);
        fields.finish()?;
        Ok(Self { tau, eta, mu, kept: Vec::new() })
    }

    /// Moves `mu` by the surprise of the token that the last step drew.
    pub(crate) fn observe(&mut self, token: u32) {
        // Before the first step, and where the host forced another token, there is nothing to learn.
        if let Some(&(_, surprise)) = self.kept.iter().find(|&&(kept, _)| kept == token) {
            self.mu -= self.eta * (surprise - self.tau);
        }
    }

    /// How many of the best tokens to read: as many as can be kept.
    pub(crate) fn candidates(&self) -> u32 {
        self.mu.exp2().clamp(1.0, MOST_CANDIDATES) as u32
    }

    /// Of the best tokens with their natural-log probabilities, best first, those to draw from: at least the best.
    pub(crate) fn keep(&mut self, top: &[(u32, f32)]) -> Vec<u32> {
        let surprises = top.iter().map(|&(token, logprob)| (token, -logprob / std::f32::consts::LN_2));
        let mu = self.mu;
        let keeps = |&(index, (_, surprise)): &(usize, (u32, f32))| index == 0 || surprise <= mu;
        self.kept = surprises.enumerate().take_while(keeps).map(|(_, candidate)| candidate).collect();
        self.kept.iter().map(|&(token, _)| token).collect()
    }

    /// `mu`, then each kept token with its surprise: words of four bytes, little-endian.
    pub(crate) fn save(&self) -> Vec<u8> {
        let kept = self.kept.iter().flat_map(|&(token, surprise)| [token.to_le_bytes(), surprise.to_le_bytes()]);
        [self.mu.to_le_bytes()].into_iter().chain(kept).flatten().collect()
    }

    /// Takes up what [`Mirostat::save`] wrote; false, and nothing changed, for other bytes.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> bool {
        let (words, []) = bytes.as_chunks::<4>() else { return false };
        let Some((mu, kept)) = words.split_first() else { return false };
        let (kept, []) = kept.as_chunks::<2>() else { return false };
        self.mu = f32::from_le_bytes(*mu);
        self.kept =
            kept.iter().map(|&[token, surprise]| (u32::from_le_bytes(token), f32::from_le_bytes(surprise))).collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Mirostat;

    /// Natural-log probabilities that fall off as a power of the rank, as those of words do; token = rank.
    fn zipf(exponent: f32) -> Vec<(u32, f32)> {
        let weights: Vec<f32> = (1..=4000).map(|rank| (rank as f32).powf(-exponent)).collect();
        let total: f32 = weights.iter().sum();
        (0..).zip(weights).map(|(token, weight)| (token, (weight / total).ln())).collect()
    }

    /// Draws one of the tokens in proportion to its probability.
    fn draw(distribution: &[(u32, f32)], kept: &[u32], chance: f32) -> (u32, f32) {
        let kept: Vec<_> = distribution.iter().filter(|(token, _)| kept.contains(token)).copied().collect();
        let mut left = chance * kept.iter().map(|(_, logprob)| logprob.exp()).sum::<f32>();
        *kept
            .iter()
            .find(|(_, logprob)| {
                left -= logprob.exp();
                left <= 0.0
            })
            .unwrap_or(&kept[0])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_average_surprise_goes_to_the_target(
            // Between the surprise of the best token, up to 3.8 bits here, and the entropy, from 6.5 bits on.
            tau in 4.5_f32..6.0,
            exponents in prop::collection::vec(0.9_f32..1.2, 8),
            chances in prop::collection::vec(0.0_f32..1.0, 600),
        ) {
            let distributions: Vec<_> = exponents.into_iter().map(zipf).collect();
            let mut mirostat = Mirostat::parse(&format!(r#"{{"tau": {tau}}}"#)).unwrap();
            let mut surprises = Vec::new();
            for (distribution, &chance) in distributions.iter().cycle().zip(&chances) {
                let top = &distribution[..mirostat.candidates() as usize];
                let kept = mirostat.keep(top);
                let (token, logprob) = draw(distribution, &kept, chance);
                surprises.push(-logprob / std::f32::consts::LN_2);
                mirostat.observe(token);
            }
            let settled = &surprises[200..];
            let average = settled.iter().sum::<f32>() / settled.len() as f32;
            prop_assert!((average - tau).abs() < 0.35, "{average} bits for a target of {tau}");
        }

        #[test]
        fn no_token_that_may_be_kept_goes_unread(mu in 0.0_f32..10.0, exponent in 0.0_f32..3.0) {
            let distribution = zipf(exponent);
            let mut mirostat = Mirostat::parse(&format!(r#"{{"mu": {mu}}}"#)).unwrap();
            let from_all = mirostat.keep(&distribution);
            let from_read = mirostat.keep(&distribution[..mirostat.candidates() as usize]);
            prop_assert_eq!(from_all, from_read);
        }

        #[test]
        fn a_saved_state_goes_on_as_if_nothing_had_been(mu in -5.0_f32..20.0, token in 0_u32..40, bytes: Vec<u8>) {
            let mut mirostat = Mirostat { mu, ..Mirostat::parse("{}").unwrap() };
            mirostat.keep(&zipf(1.0)[..30]);
            let mut restored = Mirostat::parse("{}").unwrap();
            prop_assert!(restored.restore(&mirostat.save()));
            mirostat.observe(token);
            restored.observe(token);
            prop_assert_eq!(&mirostat, &restored);

            let accepted = restored.restore(&bytes);
            prop_assert_eq!(accepted, bytes.len() % 8 == 4);
        }
    }

    #[test]
    fn the_best_token_is_kept_however_surprising() {
        let mut mirostat = Mirostat::parse(r#"{"mu": 0.5}"#).unwrap();
        assert_eq!(mirostat.candidates(), 1);
        assert_eq!(mirostat.keep(&[(7, -2.0), (8, -2.5)]), [7]);
    }

    #[test]
    fn mu_moves_against_the_surprise_of_the_token_drawn() {
        let mut mirostat = Mirostat::parse(r#"{"tau": 2, "eta": 0.5}"#).unwrap();
        let bits = |bits: f32| -bits * std::f32::consts::LN_2;
        assert_eq!(mirostat.mu, 4.0);
        assert_eq!(mirostat.keep(&[(5, bits(1.0)), (9, bits(3.0)), (2, bits(5.0))]), [5, 9]);
        mirostat.observe(9);
        assert!((mirostat.mu - 3.5).abs() < 1e-5);
        mirostat.observe(2);
        assert!((mirostat.mu - 3.5).abs() < 1e-5, "a token that was not drawn here teaches nothing");
    }

    #[test]
    fn parameters_are_checked() {
        let error = |json| Mirostat::parse(json).unwrap_err().to_string();
        assert_eq!(error(r#"{"tau": -1}"#), "`tau` must be a number of bits from 0 to 100, not -1");
        assert_eq!(error(r#"{"top_p": 1}"#), "`top_p` is not a parameter of this policy; it has tau, eta, mu");
    }
}
