//! The header of a safetensors file, checked in full before anything reads the file by it.
//!
//! The format (<https://huggingface.co/docs/safetensors>, version 0.4): eight bytes, the length of the header as a
//! little-endian integer; the header, a JSON object from tensor names to type, shape and place; the data. The data is
//! covered without gap or overlap, and that is checked here, as are sizes that cannot be: a file that was cut off, or
//! made to lie, is refused before memory is taken on its word.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};

/// The longest header that is read, in bytes; the same limit as the reference implementation's.
pub const MAXIMUM_HEADER_BYTES: u64 = 100_000_000;

/// No tensor of a model has more dimensions.
pub const MAXIMUM_DIMENSIONS: usize = 8;

/// Bytes before the header: its length.
pub const PREFIX_BYTES: u64 = 8;

/// What a file holds, in the order of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The tensors.
    pub tensors: Vec<TensorEntry>,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name: `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// The type of its elements.
    pub element: Element,
    /// Its dimensions, the slowest first. Each fits an `i32`.
    pub shape: Vec<i32>,
    /// Where its data begins, counted from the end of the header.
    pub begin: u64,
    /// Where its data ends.
    pub end: u64,
}

/// The types of elements that MLX reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Element {
    Bool,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Uint64,
    Int64,
    Float16,
    Bfloat16,
    Float32,
    Float64,
    Complex64,
}

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file ends before its data does.
    #[error("it was cut off: its header asks for {expected} bytes, the file has {actual}. Fetch or copy it again")]
    Torn {
        /// Bytes that the file should have.
        expected: u64,
        /// Bytes that it has.
        actual: u64,
    },
    /// The file goes on after its data.
    #[error("it has {actual} bytes where its header describes {expected}")]
    Trailing {
        /// Bytes that the header describes.
        expected: u64,
        /// Bytes that the file has.
        actual: u64,
    },
    /// The header is longer than any real one.
    #[error("its header would take {0} bytes (at most {MAXIMUM_HEADER_BYTES} are read): it is no safetensors file")]
    TooLong(u64),
    /// The header is not the JSON it should be.
    #[error("its header is not valid: {0}")]
    Json(String),
    /// Two tensors have one name.
    #[error("its header names tensor `{0}` twice")]
    Duplicate(String),
    /// A type that MLX does not read.
    #[error("tensor `{name}` is of type `{element}`, which MLX does not read")]
    Element {
        /// The tensor.
        name: String,
        /// Its type, as written.
        element: String,
    },
    /// The shape and the bytes of a tensor do not agree, or its size is beyond any machine.
    #[error("tensor `{name}` has shape {shape:?} of {element:?} but takes {bytes} bytes")]
    Size {
        /// The tensor.
        name: String,
        /// Its type.
        element: Element,
        /// Its shape, as written.
        shape: Vec<u64>,
        /// Bytes between its offsets.
        bytes: i128,
    },
    /// A tensor's data does not begin where the one before it ends.
    #[error("the data of tensor `{name}` begins at byte {begin}, where byte {expected} is next: gap or overlap")]
    Place {
        /// The tensor.
        name: String,
        /// Where it begins.
        begin: u64,
        /// Where the one before it ends.
        expected: u64,
    },
}

impl Header {
    /// How many bytes of header follow the first eight bytes of a file of `file_bytes`.
    pub fn length(prefix: [u8; PREFIX_BYTES as usize], file_bytes: u64) -> Result<u64, HeaderError> {
        let length = u64::from_le_bytes(prefix);
        if length > MAXIMUM_HEADER_BYTES {
            return Err(HeaderError::TooLong(length));
        }
        let expected = PREFIX_BYTES + length;
        if expected > file_bytes {
            return Err(HeaderError::Torn { expected, actual: file_bytes });
        }
        Ok(length)
    }

    /// Reads the header proper, `json`, of a file of `file_bytes` bytes in all.
    pub fn parse(json: &[u8], file_bytes: u64) -> Result<Self, HeaderError> {
        let written: Entries = serde_json::from_slice(json).map_err(|error| HeaderError::Json(error.to_string()))?;
        let mut tensors = Vec::with_capacity(written.0.len());
        for (name, entry) in written.0 {
            tensors.push(entry.check(name)?);
        }
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(HeaderError::Duplicate(pair[0].to_owned()));
        }

        tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
        let mut expected = 0;
        for tensor in &tensors {
            if tensor.begin != expected {
                return Err(HeaderError::Place { name: tensor.name.clone(), begin: tensor.begin, expected });
            }
            expected = tensor.end;
        }
        let expected = u128::from(expected) + u128::from(PREFIX_BYTES) + json.len() as u128;
        let expected = u64::try_from(expected).unwrap_or(u64::MAX);
        match expected.cmp(&file_bytes) {
            std::cmp::Ordering::Equal => Ok(Self { tensors }),
            std::cmp::Ordering::Greater => Err(HeaderError::Torn { expected, actual: file_bytes }),
            std::cmp::Ordering::Less => Err(HeaderError::Trailing { expected, actual: file_bytes }),
        }
    }
}

impl Element {
    /// The type of a name in a header.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "U8" => Self::Uint8,
            "I8" => Self::Int8,
            "U16" => Self::Uint16,
            "I16" => Self::Int16,
            "U32" => Self::Uint32,
            "I32" => Self::Int32,
            "U64" => Self::Uint64,
            "I64" => Self::Int64,
            "F16" => Self::Float16,
            "BF16" => Self::Bfloat16,
            "F32" => Self::Float32,
            "F64" => Self::Float64,
            "C64" => Self::Complex64,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 | Self::Complex64 => 8,
        }
    }

    /// Whether it is one of the floating-point types that weights come in.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::Bfloat16 | Self::Float32)
    }
}

/// A header's entries in the order they are written, so that a name given twice is seen.
struct Entries(Vec<(String, WrittenEntry)>);

#[derive(Deserialize)]
struct WrittenEntry {
    dtype: String,
    #[serde(deserialize_with = "read_shape")]
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl WrittenEntry {
    fn check(self, name: String) -> Result<TensorEntry, HeaderError> {
        let Some(element) = Element::named(&self.dtype) else {
            return Err(HeaderError::Element { name, element: self.dtype });
        };
        let (begin, end) = self.data_offsets;
        let bytes = self.shape.iter().try_fold(element.bytes(), |bytes, &size| bytes.checked_mul(size));
        let shape: Result<Vec<i32>, _> = self.shape.iter().map(|&size| i32::try_from(size)).collect();
        match (shape, bytes) {
            (Ok(shape), Some(bytes)) if begin.checked_add(bytes) == Some(end) => {
                Ok(TensorEntry { name, element, shape, begin, end })
            }
            _ => {
                let bytes = i128::from(end) - i128::from(begin);
                Err(HeaderError::Size { name, element, shape: self.shape, bytes })
            }
        }
    }
}

/// Reads no more dimensions than a tensor may have.
fn read_shape<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct Sizes;
    impl<'de> Visitor<'de> for Sizes {
        type Value = Vec<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MAXIMUM_DIMENSIONS} sizes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u64>, A::Error> {
            let mut sizes = Vec::new();
            while let Some(size) = list.next_element()? {
                if sizes.len() == MAXIMUM_DIMENSIONS {
                    return Err(de::Error::invalid_length(MAXIMUM_DIMENSIONS + 1, &self));
                }
                sizes.push(size);
            }
            Ok(sizes)
        }
    }
    deserializer.deserialize_seq(Sizes)
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        // Of strings alone: MLX refuses a file with anything else in it.
                        map.next_value::<BTreeMap<String, String>>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO: &str = r#"{"__metadata__":{"format":"mlx"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;

    fn parse(json: &str, data_bytes: u64) -> Result<Header, HeaderError> {
        Header::parse(json.as_bytes(), PREFIX_BYTES + json.len() as u64 + data_bytes)
    }

    #[test]
    fn tensors_come_in_the_order_of_their_data() {
        let header = parse(TWO, 16).unwrap();
        let names: Vec<_> =
            header.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect();
        assert_eq!(names, [("a", &[][..]), ("b", &[2, 3][..])]);
    }

    #[test]
    fn a_file_that_is_too_short_or_too_long_is_refused_with_both_sizes() {
        let whole = PREFIX_BYTES + TWO.len() as u64 + 16;
        assert_eq!(parse(TWO, 15), Err(HeaderError::Torn { expected: whole, actual: whole - 1 }));
        assert_eq!(parse(TWO, 17), Err(HeaderError::Trailing { expected: whole, actual: whole + 1 }));
    }

    #[test]
    fn a_length_that_lies_is_refused_before_it_is_believed() {
        assert_eq!(Header::length(u64::MAX.to_le_bytes(), 100), Err(HeaderError::TooLong(u64::MAX)));
        assert_eq!(Header::length(200u64.to_le_bytes(), 100), Err(HeaderError::Torn { expected: 208, actual: 100 }));
        assert_eq!(Header::length(92u64.to_le_bytes(), 100), Ok(92));
    }

    #[test]
    fn lies_about_places_and_sizes_are_refused() {
        let entry = |name: &str, shape: &str, begin: u64, end: u64| {
            format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
        };
        let refused = |entries: &[String]| parse(&format!("{{{}}}", entries.join(",")), 16).unwrap_err();
        let overlap = refused(&[entry("a", "[2]", 0, 8), entry("b", "[3]", 4, 16)]);
        assert!(matches!(overlap, HeaderError::Place { begin: 4, expected: 8, .. }), "{overlap}");
        let gap = refused(&[entry("a", "[1]", 0, 4), entry("b", "[2]", 8, 16)]);
        assert!(matches!(gap, HeaderError::Place { begin: 8, expected: 4, .. }), "{gap}");
        assert!(matches!(refused(&[entry("a", "[5]", 0, 16)]), HeaderError::Size { bytes: 16, .. }));
        assert!(matches!(refused(&[entry("a", "[4]", 16, 0)]), HeaderError::Size { bytes: -16, .. }));
        let huge = "[4294967296,4294967296,4294967296]";
        assert!(matches!(refused(&[entry("a", huge, 0, 16)]), HeaderError::Size { .. }));
        assert_eq!(refused(&[entry("a", "[2]", 0, 8), entry("a", "[2]", 8, 16)]), HeaderError::Duplicate("a".into()));
        let endless = format!("[{}]", ["1"; 9].join(","));
        assert!(matches!(refused(&[entry("a", &endless, 0, 4)]), HeaderError::Json(why) if why.contains("at most 8")));
        let metadata = parse(r#"{"__metadata__":{"format":7}}"#, 0).unwrap_err();
        assert!(matches!(metadata, HeaderError::Json(_)), "{metadata}");
        let strange = parse(r#"{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,16]}}"#, 16).unwrap_err();
        assert!(matches!(strange, HeaderError::Element { .. }), "{strange}");
    }

    /// What every header that is taken keeps: the tensors fill the file, each as long as its shape says.
    fn fills(header: &Header, json: &[u8], file_bytes: u64) -> Result<(), TestCaseError> {
        let mut expected = 0;
        for tensor in &header.tensors {
            let numbers: u64 = tensor.shape.iter().map(|&size| size as u64).product();
            prop_assert_eq!((tensor.begin, tensor.end - tensor.begin), (expected, numbers * tensor.element.bytes()));
            expected = tensor.end;
        }
        prop_assert_eq!(PREFIX_BYTES + json.len() as u64 + expected, file_bytes);
        Ok(())
    }

    fn number() -> impl Strategy<Value = u64> {
        let edges = prop::sample::select(&[1 << 31, 1 << 32, 1 << 62, u64::MAX / 4, u64::MAX][..]);
        prop_oneof![8 => 0u64..9, 1 => edges, 1 => any::<u64>()]
    }

    proptest! {
        /// Whatever the bytes say, the answer is a header that is right or an error, never a panic.
        #[test]
        fn changed_bytes_are_refused_or_right(
            changes in prop::collection::vec((0..TWO.len(), prop::sample::select(&b"0123456789{}[]\",:ab"[..])), 1..3),
            size in 0u64..32,
        ) {
            let mut json = TWO.as_bytes().to_vec();
            for (at, byte) in changes {
                json[at] = byte;
            }
            let file_bytes = PREFIX_BYTES + json.len() as u64 + size;
            if let Ok(header) = Header::parse(&json, file_bytes) {
                fills(&header, &json, file_bytes)?;
            }
        }

        /// Numbers at the edges of their types, in every place of two entries, beside those that are right.
        #[test]
        fn any_numbers_are_refused_or_right(
            first in prop::collection::vec(number(), 0..4),
            second in prop::collection::vec(number(), 0..4),
            lie in prop::option::weighted(0.5, (0usize..5, number())),
        ) {
            let bytes = |shape: &[u64]| shape.iter().fold(4u64, |bytes, &size| bytes.wrapping_mul(size));
            let border = bytes(&first);
            let end = border.wrapping_add(bytes(&second));
            let mut numbers = [0, border, border, end, end];
            if let Some((place, number)) = lie {
                numbers[place] = number;
            }
            let [begin_a, end_a, begin_b, end_b, size] = numbers;
            let json = format!(
                r#"{{"a":{{"dtype":"F32","shape":{first:?},"data_offsets":[{begin_a},{end_a}]}},
                    "b":{{"dtype":"F32","shape":{second:?},"data_offsets":[{begin_b},{end_b}]}}}}"#
            );
            let file_bytes = (PREFIX_BYTES + json.len() as u64).saturating_add(size);
            match Header::parse(json.as_bytes(), file_bytes) {
                Ok(header) => fills(&header, json.as_bytes(), file_bytes)?,
                Err(error) => {
                    let small = first.iter().chain(&second).all(|&size| size < 9);
                    prop_assert!(lie.is_some() || !small, "{} was refused: {}", json, error);
                }
            }
        }
    }
}
