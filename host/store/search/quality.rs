//! A number for how far a model is to be trusted before it is tried.

use super::Candidate;

/// Publishers of widely used models and of conversions of them, by their names on the hub.
pub const TRUSTED_PUBLISHERS: [&str; 24] = [
    "allenai",
    "apple",
    "cohereforai",
    "coherelabs",
    "deepseek-ai",
    "eleutherai",
    "google",
    "huggingfacetb",
    "ibm-granite",
    "lmstudio-community",
    "liquidai",
    "meta-llama",
    "microsoft",
    "mistralai",
    "mlx-community",
    "moonshotai",
    "nousresearch",
    "nvidia",
    "openai",
    "qwen",
    "stabilityai",
    "tiiuae",
    "tinyllama",
    "zai-org",
];

/// A half of the points for recency is gone after so many days.
const HALF_LIFE_DAYS: f64 = 365.0;

/// A model's quality as its surroundings tell it, from 0 to 100, `now` in seconds since 1970:
///
/// | up to | for |
/// |---|---|
/// | 35 | downloads in the last month: 5 for each factor of ten, of downloads and one |
/// | 20 | likes: 5 for each factor of ten, of likes and one |
/// | 15 | recency: halved for each year since the last change |
/// | 20 | metadata: 4 each for task, parameters, quantisation, architecture and licence |
/// | 10 | a publisher of [`TRUSTED_PUBLISHERS`] |
///
/// The sum is rounded. It says nothing of how well a model answers.
pub fn quality(candidate: &Candidate, now: u64) -> u8 {
    let factors_of_ten = |count: Option<u64>| (count.unwrap_or(0) as f64 + 1.0).log10();
    let facts = &candidate.facts;
    let known = [
        facts.task.is_some(),
        facts.parameters.is_some(),
        facts.quantization.is_some(),
        facts.model_type.is_some(),
        candidate.license.is_some(),
    ];
    let downloads = (5.0 * factors_of_ten(candidate.downloads)).min(35.0);
    let likes = (5.0 * factors_of_ten(candidate.likes)).min(20.0);
    let recency = candidate.modified.map_or(0.0, |modified| {
        let days = now.saturating_sub(modified) as f64 / 86_400.0;
        15.0 * (-days / HALF_LIFE_DAYS).exp2()
    });
    let metadata = 4.0 * known.into_iter().filter(|known| *known).count() as f64;
    let is_trusted = TRUSTED_PUBLISHERS.iter().any(|name| name.eq_ignore_ascii_case(candidate.author()));
    let publisher = if is_trusted { 10.0 } else { 0.0 };
    (downloads + likes + recency + metadata + publisher).round() as u8
}
