//! Faults by script: which request goes wrong, and how.

/// A way to misbehave.
#[derive(Debug, Clone)]
pub enum Action {
    /// The connection closes after so many bytes of the body.
    Drop {
        /// Bytes of the body that are sent.
        after: u64,
    },
    /// Nothing more comes after so many bytes of the body, and the connection stays open.
    Stall {
        /// Bytes of the body that are sent.
        after: u64,
    },
    /// The request is read and never answered.
    Silence,
    /// The body comes at so many bytes a second.
    Drip {
        /// Bytes a second.
        rate: u64,
    },
    /// One byte of the file is another.
    WrongByte {
        /// Its offset in the file, where the answer holds it.
        at: u64,
    },
    /// The answer claims, and has, so many bytes more than there are.
    Longer(u64),
    /// The answer claims, and has, so many bytes fewer than were asked for.
    Shorter(u64),
    /// Another answer than the request deserves.
    Status {
        /// The HTTP status.
        status: u16,
        /// Headers, such as `Retry-After` or `X-Error-Code`.
        headers: Vec<(String, String)>,
    },
    /// A redirection to an address, which may be the request's own.
    Redirect(String),
    /// Another ETag than before.
    Etag(String),
    /// A request for a range is answered by the whole file.
    WholeFile,
    /// A request for a range is answered by another range, of the same length where the file has it.
    WrongRange,
    /// A JSON text without end.
    EndlessJson,
    /// A JSON text that is broken off.
    TornJson,
}

impl Action {
    /// A status with one header.
    pub fn status(status: u16, header: &str, value: &str) -> Self {
        Self::Status { status, headers: vec![(header.to_owned(), value.to_owned())] }
    }
}

/// A fault: an [`Action`], and the requests that it befalls.
#[derive(Debug, Clone)]
pub struct Fault {
    path: String,
    skip: u64,
    times: u64,
    action: Action,
}

impl Fault {
    /// For ever, on all requests whose path contains `path`: `/cdn/` for LFS files' bytes, `/resolve/` for where they
    /// are,
    /// `/tree/`, a file's name.
    pub fn new(path: &str, action: Action) -> Self {
        Self { path: path.to_owned(), skip: 0, times: u64::MAX, action }
    }

    /// The first so many such requests go well.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// So many requests go wrong, and those after them well.
    #[must_use]
    pub fn times(mut self, requests: u64) -> Self {
        self.times = requests;
        self
    }

    /// Whether this request goes wrong, and how. Counts it.
    pub(crate) fn meet(&mut self, path: &str) -> Option<Action> {
        if !path.contains(&self.path) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(self.action.clone())
    }
}
