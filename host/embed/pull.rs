//! Models from a hub.

use wasmlx_engine::CancelToken;
use wasmlx_store::hub::{self, HubClient, HubOptions, Selection, Token};
use wasmlx_store::{Manifest, Monitor, Name, Progress, catalogue_name};

use super::error::{Error, ErrorKind, Result};
use super::host::Host;
use super::store::WorkOptions;

/// How to pull a model.
pub struct PullOptions {
    hub: HubOptions,
    revision: Option<String>,
    files: hub::PullOptions,
    work: WorkOptions,
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq)]
pub struct PullReport {
    /// The model as it is in the store now.
    pub model: Manifest,
    /// Whether it was there before as the hub has it, so that nothing was fetched.
    pub was_current: bool,
    /// Bytes that came over the network.
    pub fetched: u64,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl PullOptions {
    /// As the environment has it: the hub of `HF_ENDPOINT`, else huggingface.co, with the token that
    /// `huggingface_hub` would use; offline where `WASMLX_OFFLINE` or `HF_HUB_OFFLINE` says so. Nobody watches.
    pub fn new() -> Self {
        Self {
            hub: HubOptions::from_environment(),
            revision: None,
            files: hub::PullOptions::default(),
            work: WorkOptions::new(),
        }
    }

    /// A branch, tag or commit, in place of that of the model's name.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Patterns such as `*.json` of the files to pull, in place of those that a runner needs, and of files to leave out.
    /// What the model has already stays.
    #[must_use]
    pub fn files(mut self, include: Vec<String>, exclude: Vec<String>) -> Self {
        self.files.selection = Selection { include, exclude };
        self
    }

    /// Hubs to ask in place of the usual one: the next where one cannot be reached or does not give what is wanted.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Vec<String>) -> Self {
        self.hub.endpoints = endpoints;
        self
    }

    /// The token to give to the hub, in place of the environment's. It is sent to the first endpoint, and to
    /// huggingface.co where that is another of them; it appears in no message.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what cannot be one.
    pub fn token(mut self, token: &str) -> Result<Self> {
        let token = Token::new(token);
        self.hub.token = Some(token.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "what was given is no token"))?);
        Ok(self)
    }

    /// How many connections there are at a time, for all files together: 8 where nothing is said; 1 to 64.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.files.connections = connections;
        self
    }

    /// Asks nobody, which is an error.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.hub.offline = true;
        self
    }

    /// Called with how far the pull is, at most ten times a second: it must not block.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.work = self.work.progress(progress);
        self
    }

    /// A token that breaks the pull off, which then fails with [`ErrorKind::Cancelled`]. The next pull goes on.
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.work = self.work.cancel(token);
        self
    }
}

impl Host {
    /// Brings a model from a hub into the store, or up to date: `OWNER/NAME`, a short name of the
    /// [`catalogue`](crate::catalogue()), or that of a model which the store has from a hub; a colon and a revision may
    /// follow. What is there of it is not fetched; what comes is what the hub published, by its hashes. Several
    /// processes that want the same fetch it once. Needs a tokio runtime with I/O and time. Dropping the future breaks
    /// it off; the next pull goes on where it was.
    ///
    /// # Errors
    /// `NotFound`, `Denied` (gated, private), `Unreachable`, `InvalidInput`, `InvalidModel` for what cannot be run here
    /// or is not what was published, `Cancelled`, `NoSpace`, `ReadOnly`, `Io`. Each says what to do.
    pub async fn pull(&self, model: &str, options: PullOptions) -> Result<PullReport> {
        let known = catalogue_name(model).or_else(|| self.model_store().name_from_a_hub(model));
        let mut name = known.map_or_else(|| Name::parse(model), Ok)?;
        if let Some(revision) = &options.revision {
            name = name.with_tag(revision)?;
        }
        let client = HubClient::new(options.hub)?;
        let report = |progress: &Progress| options.work.tell(progress);
        let is_cancelled = || options.work.is_cancelled();
        let monitor = Monitor::new(&report, &is_cancelled);
        let pulled = client.pull(self.model_store(), &name, &options.files, &monitor).await?;
        Ok(PullReport { model: pulled.manifest, was_current: pulled.was_current, fetched: pulled.fetched })
    }
}
