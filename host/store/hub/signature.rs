//! Signatures of components, as minisign makes them: one key, no network, nobody else to trust.

use minisign_verify::{Error, PublicKey, Signature};

use crate::{Signer, StoreError, StoreErrorKind};

/// The most bytes of a signature or a key; minisign's have some 300.
pub(super) const SIGNATURE_BYTES: usize = 4096;

/// A public key whose signature is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    key: PublicKey,
    /// In base64.
    text: String,
}

impl SigningKey {
    /// Reads a key: the text of minisign's `.pub` file, or its second line alone.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidInput`] for what is no key.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let key = PublicKey::from_base64(line).ok().filter(|_| text.len() <= SIGNATURE_BYTES);
        let key = key.ok_or_else(|| {
            let message = "that is no public key of minisign: it has 56 letters and digits that begin with RW, the \
                           second line of the file that `minisign -G` made";
            StoreError::new(StoreErrorKind::InvalidInput, message)
        })?;
        Ok(Self { key, text: line.to_owned() })
    }

    /// That a component's bytes were signed by it: whoever has the secret key has vouched for them.
    ///
    /// # Errors
    /// [`StoreErrorKind::Untrusted`], with what is wrong with the signature. `what` is what the sentence calls the
    /// component.
    pub(super) fn verify(&self, what: &str, bytes: &[u8], signature: &str) -> Result<Signer, StoreError> {
        let untrusted = |why: &str| StoreError::new(StoreErrorKind::Untrusted, format!("{what} is not used: {why}"));
        let parsed = Some(signature).filter(|text| text.len() <= SIGNATURE_BYTES).map(Signature::decode);
        let Some(Ok(parsed)) = parsed else {
            return Err(untrusted("its signature is none that minisign made"));
        };
        // Only what hashes first is taken, which minisign does by itself since 0.10: what is older signs some bytes that
        // mean something else, too.
        self.key.verify(bytes, &parsed, false).map_err(|error| match error {
            Error::UnexpectedKeyId => untrusted("its signature was made with another key than the one that you trust"),
            Error::UnexpectedAlgorithm => untrusted(
                "its signature is of a kind that minisign made before 0.10; whoever signed it can sign it again",
            ),
            _ => untrusted("its signature is of other bytes: it was changed after it was signed"),
        })?;
        let plain = |character: char| if character.is_control() { ' ' } else { character };
        let comment = parsed.trusted_comment().chars().map(plain).collect();
        Ok(Signer { key: self.text.clone(), comment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of minisign-verify's documentation: the four bytes `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    #[test]
    fn a_key_is_read_with_and_without_its_comment() {
        let key = SigningKey::parse(KEY).unwrap();
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\n{KEY}\n");
        assert_eq!(SigningKey::parse(&file).unwrap(), key);
        for text in ["", "RWQ", &KEY[1..], &KEY.replace('R', "S"), "\0", &KEY.repeat(100)] {
            assert_eq!(SigningKey::parse(text).unwrap_err().kind(), StoreErrorKind::InvalidInput, "{text:?}");
        }
    }

    #[test]
    fn the_signature_is_of_these_bytes_and_of_this_comment() {
        let key = SigningKey::parse(KEY).unwrap();
        let signer = key.verify("it", b"test", SIGNATURE).unwrap();
        assert_eq!((signer.key.as_str(), signer.comment.as_str()), (KEY, "timestamp:1633700835 file:test prehashed"));
        let refused = |bytes: &[u8], signature: &str| {
            let error = key.verify("it", bytes, signature).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Untrusted);
            error.to_string()
        };
        assert!(refused(b"Test", SIGNATURE).contains("changed after it was signed"));
        assert!(refused(b"test", &SIGNATURE.replace("1633700835", "1633700836")).contains("changed"));
        assert!(refused(b"test", &SIGNATURE.replace("RUQf6LRC", "RUQf6LRD")).contains("another key"));
        assert!(refused(b"test", &SIGNATURE.replace("RUQf", "RWQf")).contains("before 0.10"));
        for torn in ["", "untrusted comment: a", &SIGNATURE[..150], &SIGNATURE.repeat(100)] {
            assert!(refused(b"test", torn).contains("none that minisign made"), "{torn}");
        }
    }
}
