//! Signs as minisign does, for tests: Ed25519 (RFC 8032) over BLAKE2b (RFC 7693), written down as minisign writes it.

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// What precedes the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Somebody who signs.
pub(crate) struct Author {
    seed: u8,
}

impl Author {
    /// One with a key of their own.
    pub(crate) fn new(seed: u8) -> Self {
        Self { seed }
    }

    /// The public key, as the second line of minisign's `.pub` file has it.
    pub(crate) fn key(&self) -> String {
        let pair = any_eddsa_type(&self.secret()).unwrap();
        let key = pair.public_key().unwrap();
        base64(&[b"Ed", &self.id()[..], &key[key.len() - 32..]].concat())
    }

    /// A `.minisig` file for some bytes.
    pub(crate) fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.ed25519(&blake2b(bytes));
        let of_all = self.ed25519(&[&signature, comment.as_bytes()].concat());
        let signature = base64(&[b"ED", &self.id()[..], &signature].concat());
        let of_all = base64(&of_all);
        format!("untrusted comment: by a test\n{signature}\ntrusted comment: {comment}\n{of_all}\n")
    }

    fn id(&self) -> [u8; 8] {
        [self.seed; 8]
    }

    fn secret(&self) -> PrivatePkcs8KeyDer<'static> {
        [&PKCS8[..], &[self.seed; 32]].concat().into()
    }

    fn ed25519(&self, message: &[u8]) -> Vec<u8> {
        let signer = any_eddsa_type(&self.secret()).unwrap().choose_scheme(&[SignatureScheme::ED25519]).unwrap();
        signer.sign(message).unwrap()
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            text.push(if digit > chunk.len() { '=' } else { DIGITS[value as usize].into() });
        }
    }
    text
}

/// BLAKE2b with 64 bytes and no key (RFC 7693, 3.3).
fn blake2b(message: &[u8]) -> [u8; 64] {
    const IV: [u64; 8] = [
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ];
    const SIGMA: [[usize; 16]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ];
    const MIXED: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ];
    let mut state = IV;
    state[0] ^= 0x0101_0040;
    let blocks = message.len().div_ceil(128).max(1);
    for number in 0..blocks {
        let block = &message[128 * number..message.len().min(128 * (number + 1))];
        let mut padded = [0; 128];
        padded[..block.len()].copy_from_slice(block);
        let word = |at: usize| u64::from_le_bytes(padded[8 * at..8 * at + 8].try_into().unwrap());
        let mut v = [0; 16];
        v[..8].copy_from_slice(&state);
        v[8..].copy_from_slice(&IV);
        v[12] ^= (128 * number + block.len()) as u64;
        if number + 1 == blocks {
            v[14] = !v[14];
        }
        for round in 0..12 {
            let order = SIGMA[round % 10];
            for (index, [a, b, c, d]) in MIXED.into_iter().enumerate() {
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(word(order[2 * index]));
                v[d] = (v[d] ^ v[a]).rotate_right(32);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(24);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(word(order[2 * index + 1]));
                v[d] = (v[d] ^ v[a]).rotate_right(16);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(63);
            }
        }
        for (index, word) in state.iter_mut().enumerate() {
            *word ^= v[index] ^ v[index + 8];
        }
    }
    std::array::from_fn(|at| state[at / 8].to_le_bytes()[at % 8])
}
