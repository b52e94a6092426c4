//! What a file holds: bytes in memory or a file on disk, and the digests by which the hub knows it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// A file on disk, which must not change while it is served.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
    },
}

impl Content {
    /// `size` bytes that look random and are the same for the same `seed`.
    pub fn noise(seed: u64, size: usize) -> Self {
        // xorshift64* (Vigna 2016); a state of zero would stay zero.
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        bytes.truncate(size);
        Self::Bytes(bytes.into())
    }

    /// A file on disk.
    ///
    /// # Errors
    /// Where its length cannot be told.
    pub fn file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let size = path.metadata()?.len();
        Ok(Self::File { path, size })
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// Something that reads it from `offset` on.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn reader(&self, offset: u64) -> io::Result<Box<dyn io::Read + Send>> {
        match self {
            Self::Bytes(bytes) => {
                let mut cursor = io::Cursor::new(Arc::clone(bytes));
                cursor.set_position(offset);
                Ok(Box::new(cursor))
            }
            Self::File { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(Box::new(file))
            }
        }
    }

    /// SHA-256 in hex: the name of an LFS file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn sha256(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        self.each_piece(|piece| hasher.update(piece))?;
        Ok(hex(&hasher.finalize()))
    }

    /// Git's hash of it as a blob (SHA-1), in hex: the name of a file that is no LFS file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn git_hash(&self) -> io::Result<String> {
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", self.size()));
        self.each_piece(|piece| hasher.update(piece))?;
        Ok(hex(&hasher.finalize()))
    }

    fn each_piece(&self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = self.reader(0)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(()),
                count => each(&buffer[..count]),
            }
        }
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
