//! Components from elsewhere: fetched, checked, and installed.

use wasmlx_engine::CancelToken;
use wasmlx_store::hub::{ComponentAddress, ComponentChecks, HubClient, HubOptions, SigningKey};
use wasmlx_store::{Digest, Monitor, Progress};

pub use wasmlx_store::hub::{FetchedComponent, SIGNATURE_ANNOTATION};

use super::blocking;
use super::components::ComponentRef;
use super::error::{Error, ErrorKind, Result};
use super::host::Host;
use super::installed::{InstallOptions, InstallReport, Provenance};
use super::store::WorkOptions;

/// What a component that is fetched must be, and who watches.
#[derive(Default)]
pub struct FetchOptions {
    checks: ComponentChecks,
    work: WorkOptions,
}

impl FetchOptions {
    /// Anything; nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Called with how far it is, at most ten times a second: it must not block. Where the server does not tell how much
    /// there is, the total is 0.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.work = self.work.progress(progress);
        self
    }

    /// A token that breaks it off, which then fails with [`ErrorKind::Cancelled`].
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.work = self.work.cancel(token);
        self
    }

    /// The SHA-256 of its bytes: `sha256:` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// `InvalidInput` for what is no digest.
    pub fn digest(mut self, digest: &str) -> Result<Self> {
        let digits = digest.strip_prefix("sha256:").or_else(|| digest.strip_prefix("sha256-")).unwrap_or(digest);
        let parsed = Digest::parse(&digits.to_ascii_lowercase()).ok_or_else(|| {
            let message = format!("{digest:?} is no digest: one is `sha256:` and 64 hexadecimal digits");
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        self.checks.digest = Some(parsed);
        Ok(self)
    }

    /// The key that it must be signed with: the text of minisign's `.pub` file, or its second line.
    ///
    /// # Errors
    /// `InvalidInput` for what is no key.
    pub fn public_key(mut self, key: &str) -> Result<Self> {
        self.checks.key = Some(SigningKey::parse(key)?);
        Ok(self)
    }

    /// Where its signature is, a file or an address. Where nothing is said: beside the component, by its name and
    /// `.minisig`; for an artifact of a registry, in its annotation [`SIGNATURE_ANNOTATION`].
    ///
    /// # Errors
    /// `InvalidInput` for an address that is none.
    pub fn signature(mut self, address: &str) -> Result<Self> {
        self.checks.signature = Some(address.parse()?);
        Ok(self)
    }
}

/// Whether what a user wrote in a component's place leads elsewhere: `https://...`, `oci://...`.
pub fn is_remote_component(text: &str) -> bool {
    ComponentAddress::is_remote(text)
}

impl Host {
    /// Fetches a component, of at most 256 MiB, and makes sure that it is what it should be. `address` is an `https://`
    /// address (on this machine also `http://`), an artifact of an OCI registry (`oci://ghcr.io/owner/name:tag` or
    /// `...@sha256:HEX`), or a file. Nothing of it is run, and nothing is written to the disk:
    /// [`Host::install_fetched`] does that. Needs a tokio runtime with I/O and time. Dropping the future breaks it off.
    ///
    /// # Errors
    /// `InvalidComponent` for other bytes than the digest says, `Untrusted` for what is not signed with the key;
    /// `InvalidInput`, `NotFound`, `Denied`, `Unreachable`.
    pub async fn fetch_component(&self, address: &str, options: FetchOptions) -> Result<FetchedComponent> {
        let FetchOptions { checks, work } = options;
        let client = HubClient::new(HubOptions::from_environment())?;
        let report = |progress: &Progress| work.tell(progress);
        let is_cancelled = || work.is_cancelled();
        let monitor = Monitor::new(&report, &is_cancelled);
        Ok(client.fetch_component(&address.parse()?, &checks, monitor).await?)
    }

    /// Installs a component that was fetched, as [`Host::install_component`] does. Where it came from and who signed it
    /// is kept with it.
    ///
    /// # Errors
    /// As [`Host::install_component`].
    pub async fn install_fetched(&self, fetched: FetchedComponent, options: InstallOptions) -> Result<InstallReport> {
        let FetchedComponent { name, bytes, source, signer, .. } = fetched;
        let (this, component) = (self.clone(), ComponentRef::Bytes { name, bytes: bytes.into() });
        let provenance = Provenance { source: Some(source), signer };
        blocking::spawn("wasmlx-components", move || this.install(&component, options, provenance)).await
    }
}
