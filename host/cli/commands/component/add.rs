//! `wasmlx component add`: a component is fetched where it is elsewhere, checked, tested and installed.

use std::fs;
use std::path::Path;

use serde_json::json;
use wasmlx::{ComponentRef, ErrorKind, FetchOptions, FetchedComponent, Host, InstallOptions, InstallReport};

use super::list::{listed_json, short};
use crate::GlobalOptions;
use crate::cost;
use crate::failure::{Failure, Result};
use crate::guest::Guest;
use crate::output::{self, Output};
use crate::progress::Bars;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A .wasm file; a component's folder, which is built where it is not; an https:// address; or an artifact of a
    /// registry, oci://ghcr.io/owner/name:tag or ...@sha256:HEX
    #[arg(value_name = "FILE|FOLDER|URL|OCI")]
    component: String,
    /// The name to find it by; left out: its manifest's, else the file's
    #[arg(long)]
    name: Option<String>,
    /// Install it without running anything of it: neither its own cases, nor to measure what it costs
    #[arg(long)]
    no_test: bool,
    #[command(flatten)]
    checks: Checks,
}

/// What a component must be to be installed.
#[derive(Debug, clap::Args)]
struct Checks {
    /// The SHA-256 that its bytes must have
    #[arg(long, value_name = "sha256:HEX")]
    digest: Option<String>,
    /// The minisign key that it must be signed with: the key itself or its .pub file
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    /// Its signature; left out: the file of its name and .minisig beside it, for an artifact the one that it carries
    #[arg(long, value_name = "FILE|URL", requires = "public_key")]
    signature: Option<String>,
}

pub(super) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let Arguments { component, name, no_test, checks } = arguments;
    let shows = !global.quiet && !global.json;
    let mut options = InstallOptions::new().untested(no_test);
    if let Some(name) = name {
        options = options.name(name);
    }
    let host = Host::builder().build()?;
    let report = if wasmlx::is_remote_component(&component) {
        if shows {
            // What follows `?` may be a secret.
            output::aside(format_args!("fetching {}", component.split('?').next().unwrap_or_default()));
        }
        let fetched = checks.fetch(&host, &component, global).await?;
        if shows && !no_test {
            output::aside(format_args!("measuring {}", fetched.name));
        }
        host.install_fetched(fetched, options).await?
    } else {
        let guest = Guest::find(Path::new(&component))?;
        if guest.cases.is_dir() {
            options = options.cases(guest.cases);
        }
        if shows && !no_test {
            output::aside(format_args!("testing and measuring {component}"));
        }
        match guest.component {
            ComponentRef::Path(path) if checks.are_any() => {
                let fetched = checks.fetch(&host, &path.display().to_string(), global).await?;
                host.install_fetched(fetched, options).await?
            }
            _ if checks.are_any() => {
                return Err(Failure::Usage("what is built just now has no digest or signature to check".to_owned()));
            }
            built => host.install_component(built, options).await?,
        }
    };
    tell(&report, no_test, global)
}

impl Checks {
    fn are_any(&self) -> bool {
        self.digest.is_some() || self.public_key.is_some()
    }

    /// Gets a component and makes sure of it.
    async fn fetch(&self, host: &Host, address: &str, global: &GlobalOptions) -> Result<FetchedComponent> {
        let bars = Bars::new(global);
        let mut options = FetchOptions::new().progress(move |progress| bars.update(progress));
        if let Some(digest) = &self.digest {
            options = options.digest(digest)?;
        }
        if let Some(key) = &self.public_key {
            options = options.public_key(&key_text(key)?)?;
        }
        if let Some(signature) = &self.signature {
            options = options.signature(signature)?;
        }
        Ok(host.fetch_component(address, options).await?)
    }
}

/// A key, which may be in a file.
fn key_text(text: &str) -> Result<String> {
    if !Path::new(text).is_file() {
        return Ok(text.to_owned());
    }
    fs::read_to_string(text)
        .map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot read the key in {text}: {error}")))
}

/// Tells what was installed, and what that came to.
fn tell(report: &InstallReport, no_test: bool, global: &GlobalOptions) -> Result {
    let mut output = Output::new();
    if global.json {
        return output.json(&json!({
            "component": listed_json(&report.component),
            "cases": report.cases.as_ref().map(wasmlx::TestReport::passed),
            "replaced": report.replaced.as_ref().map(listed_json),
            "unmeasured": report.unmeasured.as_ref().map(ToString::to_string),
        }));
    }
    let component = &report.component;
    let version = component.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let (size, digest) = (output::bytes(component.size), short(&component.digest));
    output.line(format_args!("{}: {}{version}, {size}, {digest}", component.name, component.kind))?;
    if !global.quiet {
        if let Some(signer) = &component.signer {
            output.line(format_args!("  signed by {}", signer.key))?;
        }
        match (&report.cases, no_test) {
            (Some(cases), _) => output.line(format_args!("  {} cases passed", cases.passed()))?,
            (None, true) => output.line("  neither tested nor measured")?,
            (None, false) => output.line("  it has no cases of its own")?,
        }
        if let Some(before) = &report.replaced {
            let version = before.version.as_deref().map(|version| format!("{version}, ")).unwrap_or_default();
            let again = before.digest == component.digest;
            let what = if again { "was installed before:" } else { "replaces" };
            output.line(format_args!("  {what} {version}{}", short(&before.digest)))?;
        }
        if let Some(card) = &component.cost {
            cost::write(&mut output, card)?;
            if let Some(before) = report.replaced.as_ref().and_then(|before| before.cost.as_ref()) {
                cost::write_comparison(&mut output, &card.compare(before))?;
            }
        }
        if let Some(error) = &report.unmeasured {
            output.line(format_args!("  {error}"))?;
        }
    }
    output.flush()
}
