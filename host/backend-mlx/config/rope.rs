//! What a `config.json` says of rotary positions.

use serde_json::{Map, Value};
use wasmlx_backend::BackendError;

use super::{Defaults, Written, cannot_be, missing};
use crate::error::{invalid_model, unsupported};

/// Rotary position embedding (arXiv:2104.09864).
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// The base of the geometric row of wavelengths.
    pub theta: f32,
    /// Whether a pair is two neighbours, rather than two numbers half a head apart.
    pub traditional: bool,
    /// How the wavelengths are changed to reach farther.
    pub scaling: RopeScaling,
}

/// The known ways to stretch rotary positions over longer texts, named as `rope_type` names them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// Positions divided by a factor.
    Linear {
        /// By what.
        factor: f32,
    },
    /// The base grows with the text beyond the context before stretching.
    Dynamic {
        /// How fast.
        factor: f64,
        /// The context before stretching, in tokens.
        original_context: f64,
    },
    /// Llama 3.1's: long wavelengths by a factor, short ones not, those between by both.
    Llama3 {
        /// What long wavelengths are multiplied by.
        factor: f32,
        /// Wavelengths longer than the original context divided by this are long.
        low_frequency_factor: f32,
        /// Wavelengths shorter than the original context divided by this are short.
        high_frequency_factor: f32,
        /// The context before stretching, in tokens.
        original_context: f32,
    },
    /// YaRN (arXiv:2309.00071).
    Yarn {
        /// How many times longer the context becomes.
        factor: f64,
        /// The context before stretching, in tokens.
        original_context: f64,
        /// Rotations within the original context from which on a wavelength is kept.
        beta_fast: f64,
        /// Rotations within the original context up to which a wavelength is stretched in full.
        beta_slow: f64,
        /// Weight of the attention's temperature.
        mscale: f64,
        /// The same, for all dimensions; the two divide each other.
        mscale_all_dimensions: f64,
    },
}

impl RopeConfig {
    /// `context`: the file's `max_position_embeddings`.
    pub(super) fn read(written: &Written, defaults: &Defaults, context: u32) -> Result<Self, BackendError> {
        // Since transformers 5 everything about positions lies in `rope_parameters`.
        let nested = written.rope_parameters.as_ref();
        let nested_theta = nested.and_then(|parameters| parameters.get("rope_theta")).and_then(Value::as_f64);
        let theta = written.rope_theta.or(nested_theta).or(defaults.rope_theta).ok_or_else(|| missing("rope_theta"))?;
        if !(theta > 1.0 && theta <= f64::from(f32::MAX)) {
            return Err(cannot_be("rope_theta", theta));
        }
        let scaling = match written.rope_scaling.as_ref().or(nested) {
            None => RopeScaling::Default,
            Some(scaling) => RopeScaling::read(&Scaling(scaling), context)?,
        };
        Ok(Self { theta: theta as f32, traditional: written.rope_traditional.unwrap_or(false), scaling })
    }
}

impl RopeScaling {
    fn read(scaling: &Scaling<'_>, context: u32) -> Result<Self, BackendError> {
        let named = |key: &str| scaling.0.get(key).and_then(Value::as_str).filter(|name| !name.is_empty());
        // `mrope` gives pictures positions of their own; those of text are the plain ones.
        Ok(match named("type").or(named("rope_type")).unwrap_or("default") {
            "default" | "mrope" => Self::Default,
            "linear" => Self::Linear { factor: scaling.positive("factor", None)? as f32 },
            "dynamic" => {
                Self::Dynamic { factor: scaling.positive("factor", None)?, original_context: f64::from(context) }
            }
            "llama3" => {
                let low_frequency_factor = scaling.positive("low_freq_factor", Some(1.0))? as f32;
                let high_frequency_factor = scaling.positive("high_freq_factor", Some(4.0))? as f32;
                if low_frequency_factor >= high_frequency_factor {
                    return Err(invalid_model(format!(
                        "config.json has `rope_scaling` with low_freq_factor {low_frequency_factor}, which must be less \
                         than high_freq_factor {high_frequency_factor}"
                    )));
                }
                Self::Llama3 {
                    factor: scaling.positive("factor", None)? as f32,
                    low_frequency_factor,
                    high_frequency_factor,
                    original_context: scaling.positive("original_max_position_embeddings", Some(8192.0))? as f32,
                }
            }
            "yarn" => Self::Yarn {
                factor: scaling.positive("factor", None)?,
                original_context: scaling.positive("original_max_position_embeddings", Some(4096.0))?,
                beta_fast: scaling.positive("beta_fast", Some(32.0))?,
                beta_slow: scaling.positive("beta_slow", Some(1.0))?,
                mscale: scaling.number("mscale", Some(1.0))?,
                mscale_all_dimensions: scaling.number("mscale_all_dim", Some(0.0))?,
            },
            kind => {
                return Err(unsupported(format!(
                    "config.json scales rotary positions by `{kind}`; known are default, linear, dynamic, llama3 and yarn"
                )));
            }
        })
    }

    /// How many tokens a model reaches whose `max_position_embeddings` is `written`.
    ///
    /// Models write the length before stretching or the one after it. As in vLLM (`_get_and_verify_max_len`), a
    /// factor is taken to stretch what is written, or the original context where that is written too; Llama 3.1's
    /// files write the length after it.
    pub(super) fn reach(&self, written: u32) -> u32 {
        let stretched = match self {
            Self::Default | Self::Llama3 { .. } => return written,
            Self::Linear { factor } => f64::from(written) * f64::from(*factor),
            Self::Dynamic { factor, original_context } | Self::Yarn { factor, original_context, .. } => {
                original_context * factor
            }
        };
        written.max(stretched as u32)
    }
}

/// The table that describes a scaling.
struct Scaling<'a>(&'a Map<String, Value>);

impl Scaling<'_> {
    fn number(&self, key: &str, default: Option<f64>) -> Result<f64, BackendError> {
        let name = format!("rope_scaling.{key}");
        match self.0.get(key) {
            None | Some(Value::Null) => default.ok_or_else(|| missing(&name)),
            Some(value) => {
                let number = value.as_f64().filter(|number| number.is_finite() && number.abs() <= 1e12);
                number.ok_or_else(|| cannot_be(&name, value))
            }
        }
    }

    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, BackendError> {
        let number = self.number(key, default)?;
        if number > 0.0 { Ok(number) } else { Err(cannot_be(&format!("rope_scaling.{key}"), number)) }
    }
}
