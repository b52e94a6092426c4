//! How weights are stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::is_plain_name;

/// How most of a model's weights are stored. As text, which is also how it is serialised: `4-bit`, `bf16`, `Q4_K_M`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantization {
    /// MLX's affine quantisation to so many bits, 2 to 8.
    Affine(u8),
    /// Microscaling 4-bit floats (OCP MX 1.0).
    Mxfp4,
    /// Microscaling 8-bit floats.
    Mxfp8,
    /// NVIDIA's 4-bit floats.
    Nvfp4,
    /// Not quantised, in half precision.
    Float16,
    /// Not quantised, in bfloat16.
    Bfloat16,
    /// Not quantised, in single precision.
    Float32,
    /// One of GGUF's types: `Q4_K_M`; `GGUF` where it is not known which.
    Gguf(String),
    /// A method of another program: `gptq`.
    Other(String),
}

/// Methods of other programs, by what names and tags call them.
const OTHERS: [(&str, &str); 14] = [
    ("gptq", "gptq"),
    ("awq", "awq"),
    ("bnb", "bitsandbytes"),
    ("bitsandbytes", "bitsandbytes"),
    ("compressed-tensors", "compressed-tensors"),
    ("exl2", "exl2"),
    ("exl3", "exl3"),
    ("hqq", "hqq"),
    ("aqlm", "aqlm"),
    ("eetq", "eetq"),
    ("quanto", "quanto"),
    ("torchao", "torchao"),
    ("fp8", "fp8"),
    ("w8a8", "w8a8"),
];

impl Quantization {
    /// What a word names: `4bit`, `4-bit`, `q4`, `mxfp4`, `bf16`, `float16`, `Q4_K_M`, `gptq`, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        let bits = |digits: &str| digits.parse().ok().filter(|bits| (2..=8).contains(bits)).map(Self::Affine);
        match lower.as_str() {
            "mxfp4" => return Some(Self::Mxfp4),
            "mxfp8" => return Some(Self::Mxfp8),
            "nvfp4" => return Some(Self::Nvfp4),
            "fp16" | "f16" | "float16" => return Some(Self::Float16),
            "bf16" | "bfloat16" => return Some(Self::Bfloat16),
            "fp32" | "f32" | "float32" => return Some(Self::Float32),
            "gguf" => return Some(Self::Gguf("GGUF".to_owned())),
            _ => {}
        }
        if let Some((_, name)) = OTHERS.iter().find(|(word, _)| *word == lower) {
            return Some(Self::Other((*name).to_owned()));
        }
        if is_gguf_type(&lower) {
            return Some(Self::Gguf(lower.to_ascii_uppercase()));
        }
        let digits = lower.strip_suffix("-bit").or(lower.strip_suffix("bits")).or(lower.strip_suffix("bit"));
        digits.or(lower.strip_prefix("int")).or(lower.strip_prefix('q')).and_then(bits)
    }

    /// What a word names that somebody wrote for it: a method of that name where it is none that is known here.
    pub(crate) fn named(word: &str) -> Self {
        let unknown = || Self::Other(if is_plain_name(word) { word } else { "unknown" }.to_owned());
        Self::parse(word).unwrap_or_else(unknown)
    }

    /// Bits that a number takes on average, with its share of scales: `group_size` numbers have one, 64 where that is
    /// not known. None for what other programs store.
    pub fn bits_per_number(&self, group_size: Option<u32>) -> Option<f64> {
        match self {
            // A scale and a bias of 16 bits each.
            Self::Affine(bits) => Some(f64::from(*bits) + 32.0 / f64::from(group_size.unwrap_or(64).max(1))),
            // 8 bits of scale for 32 numbers, and for 16.
            Self::Mxfp4 => Some(4.25),
            Self::Mxfp8 => Some(8.25),
            Self::Nvfp4 => Some(4.5),
            Self::Float16 | Self::Bfloat16 => Some(16.0),
            Self::Float32 => Some(32.0),
            Self::Gguf(_) | Self::Other(_) => None,
        }
    }

    /// Weights of one of safetensors' types of floats (`F32`, `F8_E4M3`); none of its other types.
    fn of_floats(dtype: &str) -> Option<Self> {
        match dtype {
            "F32" => Some(Self::Float32),
            "F16" => Some(Self::Float16),
            "BF16" => Some(Self::Bfloat16),
            _ if dtype.starts_with("F8_") => Some(Self::Other("fp8".to_owned())),
            _ => None,
        }
    }

    /// The type of floats that most numbers have, of counts by safetensors' types; none where most are packed.
    pub(crate) fn of_most<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Option<Self> {
        Self::of_floats(counts.into_iter().max_by_key(|&(_, count)| count)?.0)
    }

    /// Whether who asks for this one means the other too. A repository of GGUF files has most of GGUF's types, and says
    /// of none.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_any = |it: &Self| matches!(it, Self::Gguf(name) if name == "GGUF");
        let are_both = matches!((self, other), (Self::Gguf(_), Self::Gguf(_)));
        self == other || (are_both && (is_any(self) || is_any(other)))
    }

    /// Why such weights do not run here; none where they do.
    pub(crate) fn not_runnable(&self) -> Option<String> {
        match self {
            Self::Affine(2..=6 | 8) | Self::Float16 | Self::Bfloat16 | Self::Float32 => None,
            Self::Gguf(_) => Some(format!("{self} is a type of GGUF files, which are not runnable here")),
            _ => Some(format!("weights stored as {self} are not runnable here")),
        }
    }
}

/// `q4_0`, `q4_k_m`, `iq3_xxs`, `tq1_0`: a letter or two, digits, and parts after underscores.
fn is_gguf_type(lower: &str) -> bool {
    let Some(rest) = ["iq", "tq", "q"].iter().find_map(|prefix| lower.strip_prefix(prefix)) else { return false };
    let Some((digits, parts)) = rest.split_once('_') else { return false };
    let is_digit = matches!(digits.as_bytes(), [b'1'..=b'8']);
    is_digit
        && parts.len() <= 8
        && parts.split('_').all(|part| {
            matches!(part, "0" | "1" | "k" | "s" | "m" | "l" | "xs" | "xl" | "xxs" | "nl") || matches!(part, "4" | "8")
        })
}

impl fmt::Display for Quantization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affine(bits) => write!(formatter, "{bits}-bit"),
            Self::Mxfp4 => formatter.write_str("mxfp4"),
            Self::Mxfp8 => formatter.write_str("mxfp8"),
            Self::Nvfp4 => formatter.write_str("nvfp4"),
            Self::Float16 => formatter.write_str("fp16"),
            Self::Bfloat16 => formatter.write_str("bf16"),
            Self::Float32 => formatter.write_str("fp32"),
            Self::Gguf(name) | Self::Other(name) => formatter.write_str(name),
        }
    }
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::parse(word).ok_or_else(|| {
            "known are 2bit to 8bit, mxfp4, mxfp8, nvfp4, fp16, bf16, fp32, GGUF's types (Q4_K_M, ...) and other \
             programs' methods (gptq, awq, ...)"
                .to_owned()
        })
    }
}

impl Serialize for Quantization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&String::deserialize(deserializer)?))
    }
}
