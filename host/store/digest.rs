//! Digests by which files are known: SHA-256 for what the store keeps, git's SHA-1 for small files of a hub.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The name that git has for a file's bytes: SHA-1 over `blob`, the size and the bytes. Hubs tell it of the files that
/// they keep in git itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitHash([u8; 20]);

impl Digest {
    /// Reads 64 lowercase hexadecimal digits; none of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// That of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl GitHash {
    /// Reads 40 lowercase hexadecimal digits; none of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// That of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::with_git(bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish().1.unwrap_or(Self([0; 20]))
    }
}

/// Computes a file's digests as its bytes come.
pub(crate) struct Hasher {
    sha256: Sha256,
    git: Option<Sha1>,
}

impl Hasher {
    /// The SHA-256 alone.
    pub(crate) fn new() -> Self {
        Self { sha256: Sha256::new(), git: None }
    }

    /// Git's hash of a file of that size too.
    pub(crate) fn with_git(size: u64) -> Self {
        let mut git = Sha1::new();
        git.update(format!("blob {size}\0"));
        Self { sha256: Sha256::new(), git: Some(git) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
    }

    /// The digests: git's where it was asked for.
    pub(crate) fn finish(self) -> (Digest, Option<GitHash>) {
        (Digest(self.sha256.finalize().into()), self.git.map(|git| GitHash(git.finalize().into())))
    }
}

/// Two digits a byte, all of them lowercase.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! as_hex {
    ($type:ident, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("no ", $what)))
            }
        }
    };
}

as_hex!(Digest, "SHA-256 in lowercase hexadecimal");
as_hex!(GitHash, "git hash in lowercase hexadecimal");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        // `printf 'hello\n' | git hash-object --stdin`
        assert_eq!(GitHash::of(b"hello\n").to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn only_lowercase_digits_of_the_right_number_are_read() {
        let digits = Digest::of(b"").to_string();
        for text in ["", "e3", &digits.to_uppercase(), &digits[1..], &format!("{digits}0"), &digits.replace('e', "é")]
        {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
