//! What hubs answered, kept for a while.
//!
//! One file an answer, `cache/search/KEY.json` under the home, its key the SHA-256 of the endpoint and of what was asked.
//! A file that cannot be read is no answer, and one that cannot be written is none to come: a cache is never in the way.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Candidate, SearchQuery};

/// The version of a file's form.
const SCHEMA: u32 = 1;
/// Answers that are kept; the oldest go first.
const MOST_ANSWERS: usize = 64;
/// A larger file is no answer of ours.
const ANSWER_BYTES: u64 = 8 << 20;
/// For how long an answer is as good as a new one, and for how long it is kept for when no hub is there: an hour and
/// thirty days, in seconds.
const FRESH_SECONDS: u64 = 3600;
const KEPT_SECONDS: u64 = 30 * 86_400;

/// A folder of answers.
#[derive(Debug, Clone)]
pub struct SearchCache {
    folder: PathBuf,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedAnswer {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// How long ago the hub gave them, in seconds.
    pub age: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    schema: u32,
    endpoint: String,
    query: SearchQuery,
    /// Seconds since 1970.
    fetched: u64,
    candidates: Vec<Candidate>,
}

impl SearchCache {
    /// The cache of a home folder.
    pub fn new(home: &Path) -> Self {
        Self { folder: home.join("cache").join("search") }
    }

    /// What an endpoint answered to a query, if it is there and no older than is kept. Answers to somebody who is
    /// `known` to the hub are apart: there may be private models among them.
    pub fn get(&self, endpoint: &str, known: bool, query: &SearchQuery, now: u64) -> Option<CachedAnswer> {
        let path = self.path(endpoint, known, query);
        let entry = read(&path).inspect_err(|error| tracing::debug!("no cached answer in {}: {error}", path.display()));
        let entry = entry.ok()?;
        let is_it = entry.schema == SCHEMA && entry.endpoint == endpoint && entry.query == *query;
        let is_plain = entry.candidates.iter().all(Candidate::is_plain);
        // A clock that was set back makes an answer older than it says.
        let age = now.checked_sub(entry.fetched)?;
        (is_it && is_plain && age <= KEPT_SECONDS).then_some(CachedAnswer { candidates: entry.candidates, age })
    }

    /// Keeps an answer, and drops what is too old or too much.
    pub fn put(&self, endpoint: &str, known: bool, query: &SearchQuery, candidates: &[Candidate], now: u64) {
        let path = self.path(endpoint, known, query);
        let entry = Entry {
            schema: SCHEMA,
            endpoint: endpoint.to_owned(),
            query: query.clone(),
            fetched: now,
            candidates: candidates.to_vec(),
        };
        if let Err(error) = self.write(&path, &entry).and_then(|()| self.sweep(now)) {
            tracing::debug!("the answer is not kept in {}: {error}", path.display());
        }
    }

    fn path(&self, endpoint: &str, known: bool, query: &SearchQuery) -> PathBuf {
        let asked = serde_json::to_string(&(endpoint, known, query)).unwrap_or_default();
        let key: String = Sha256::digest(asked).iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{key}.json"))
    }

    fn write(&self, path: &Path, entry: &Entry) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut unfinished = tempfile::Builder::new().suffix(".new").tempfile_in(&self.folder)?;
        unfinished.write_all(&serde_json::to_vec(entry)?)?;
        unfinished.persist(path)?;
        Ok(())
    }

    /// Drops what is older than is kept, then the oldest of what is too much. What a process that was killed left
    /// behind is among it.
    fn sweep(&self, now: u64) -> io::Result<()> {
        let mut files: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let since = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            files.push((since.as_secs(), entry.path()));
        }
        files.sort();
        let too_many = files.len().saturating_sub(MOST_ANSWERS);
        for (index, (written, path)) in files.iter().enumerate() {
            if index < too_many || now.saturating_sub(*written) > KEPT_SECONDS {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl CachedAnswer {
    /// Whether it is as good as a new one.
    pub fn is_fresh(&self) -> bool {
        self.age <= FRESH_SECONDS
    }
}

fn read(path: &Path) -> io::Result<Entry> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ANSWER_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ANSWER_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long"));
    }
    Ok(serde_json::from_slice(&bytes)?)
}
