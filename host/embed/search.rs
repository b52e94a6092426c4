//! Finding models.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmlx_store::hub::{HubClient, HubOptions, Patience, SearchAnswer, SearchOptions};
use wasmlx_store::{Fits, SearchQuery, Surroundings};

use super::blocking;
use super::error::{Error, ErrorKind, Result};
use super::estimate::{architectures, model_memory};
use super::host::Host;

impl Host {
    /// Searches the hub that the environment names (`HF_ENDPOINT`, else huggingface.co) for models. An answer that was
    /// given within the hour serves again; where no hub can be asked an older one does, else the store and the catalogue
    /// are searched. The answer says which it was. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// What the hub refuses; `InvalidInput` where models are to fit in this machine's memory and that is not known;
    /// `Io` where the store cannot be read.
    pub async fn search(&self, query: &SearchQuery, options: SearchOptions) -> Result<SearchAnswer> {
        let store = self.model_store().clone();
        let look = move || {
            let mut options = HubOptions::from_environment();
            options.patience = search_patience();
            Ok((model_memory(), store.stored_ids()?, HubClient::new(options)?))
        };
        let (machine, stored, hub) = blocking::spawn("wasmlx-search", look).await?;
        if query.fits == Some(Fits::Machine) && machine.bytes.is_none() {
            let message = "how much memory models may take here is not known";
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("say it: --fits-in 16GB"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let around = Surroundings { now, architectures: architectures(), machine, stored: &stored };
        Ok(self.model_store().search(&hub, query, options, &around).await?)
    }
}

/// Less than for a download: somebody looks on, and what is known here is an answer too.
fn search_patience() -> Patience {
    let seconds = Duration::from_secs;
    Patience {
        connect: seconds(5),
        idle: seconds(10),
        metadata: seconds(20),
        attempts: 2,
        longest_wait: seconds(5),
        ..Patience::default()
    }
}
