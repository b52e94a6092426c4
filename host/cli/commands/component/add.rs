//! `wasmlx component add`: a component is checked, tested and installed.

use std::path::PathBuf;

use serde_json::json;
use wasmlx::{Host, InstallOptions};

use super::list::{listed_json, short};
use crate::GlobalOptions;
use crate::cost;
use crate::failure::Result;
use crate::guest::Guest;
use crate::output::{self, Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A .wasm file, or a component's folder, which is built where it is not
    #[arg(value_name = "FILE|FOLDER")]
    path: PathBuf,
    /// The name to find it by; left out: its manifest's, else the file's
    #[arg(long)]
    name: Option<String>,
    /// Install it without running anything of it: neither its own cases, nor to measure what it costs
    #[arg(long)]
    no_test: bool,
}

pub(super) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let guest = Guest::find(&arguments.path)?;
    let mut options = InstallOptions::new().untested(arguments.no_test);
    if let Some(name) = arguments.name {
        options = options.name(name);
    }
    if guest.cases.is_dir() {
        options = options.cases(guest.cases);
    }
    if !global.quiet && !global.json && !arguments.no_test {
        output::aside(format_args!("testing and measuring {}", arguments.path.display()));
    }
    let report = Host::builder().build()?.install_component(guest.component, options).await?;

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
        match (&report.cases, arguments.no_test) {
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
