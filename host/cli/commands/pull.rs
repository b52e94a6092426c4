//! `wasmlx pull`: a model from a hub into the store.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmlx::{CancelToken, ErrorKind, Host, Progress, PullOptions, PullReport, Stage};

use crate::GlobalOptions;
use crate::candidates;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Output};
use crate::progress::Bars;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// OWNER/NAME as on the hub, or a short name of the catalogue (see `wasmlx search`); a revision may follow, as in
    /// OWNER/NAME:v2 or OWNER/NAME@v2
    #[arg(add = candidates::model_of_a_hub())]
    model: String,
    /// A branch, tag or commit
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Pull the files that match, such as '*.json', in place of those that a runner needs; may be repeated
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out the files that match; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// The hub to ask; where it is repeated, the next is asked for what one does not give
    #[arg(long, value_name = "URL")]
    endpoint: Vec<String>,
    /// How many connections there are at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: u8,
    /// Ask nobody
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let (interrupt, cancel, bars) = (Interrupt::listen(), CancelToken::new(), Arc::new(Bars::new(global)));
    let token = cancel.clone();
    let _guard = interrupt.guard(move || token.cancel());
    // A revision after an `@`, as package managers write it.
    let model = arguments.model.replacen('@', ":", 1);
    let options = options(arguments, global, &bars, cancel);
    let host = Host::builder().build()?;
    let report = host.pull(&model, options).await;
    drop(bars);
    let report = report.map_err(|error| match error.kind() {
        ErrorKind::Cancelled => {
            Failure::Failed(error.with_hint(format_args!("`wasmlx pull {model}` goes on from here")))
        }
        _ => error.into(),
    })?;
    let mut output = Output::new();
    if global.json {
        return output.json(&report_json(&report));
    }
    if !global.quiet {
        output.line(sentence(&report))?;
        let lacks = report.model.what_lacks();
        // What was pulled may be less than a model, and it is there, whatever can be said of it.
        if let Ok(memory) = host.estimate(Some(&report.model.name.to_string()))
            && (lacks.is_none() || memory.cache_bytes_per_1000_tokens.is_some())
        {
            output::aside(format_args!("it takes {}", output::memory(&memory)));
        }
        if let Some(what) = lacks {
            output::aside(what);
        }
    }
    output.flush()
}

fn options(arguments: Arguments, global: &GlobalOptions, bars: &Arc<Bars>, cancel: CancelToken) -> PullOptions {
    let mut options = PullOptions::new()
        .files(arguments.include, arguments.exclude)
        .connections(usize::from(arguments.connections))
        .cancel(cancel.clone());
    if let Some(revision) = arguments.revision {
        options = options.revision(revision);
    }
    if !arguments.endpoint.is_empty() {
        options = options.endpoints(arguments.endpoint);
    }
    if arguments.offline {
        options = options.offline();
    }
    let (bars, json) = (Arc::clone(bars), global.json);
    options.progress(move |progress| {
        // Where nobody reads on, nobody wants the rest.
        if json && Output::new().json(&progress_json(progress)).is_err() {
            cancel.cancel();
        }
        bars.update(progress);
    })
}

fn sentence(report: &PullReport) -> String {
    let model = &report.model;
    let commit = model.commit().and_then(|commit| commit.get(..12)).unwrap_or_default();
    if report.was_current {
        return format!("{} is up to date: commit {commit}", model.name);
    }
    let files = output::counted(model.files.len(), "file");
    let (size, fetched) = (output::bytes(model.size()), output::bytes(report.fetched));
    format!("{}: {files}, {size}, of which {fetched} were fetched; commit {commit}", model.name)
}

fn progress_json(progress: &Progress) -> Value {
    let stage = match progress.stage {
        Stage::Waiting => "waiting",
        _ => "fetching",
    };
    json!({
        "event": stage, "model": progress.what, "done": progress.done, "total": progress.total,
        "bytes_per_second": progress.rate.map(|rate| rate as u64),
        "remaining_seconds": progress.remaining.map(|time| time.as_secs_f64()),
    })
}

fn report_json(report: &PullReport) -> Value {
    json!({
        "event": "done", "model": report.model.name.to_string(), "commit": report.model.commit(),
        "files": report.model.files.len(), "bytes": report.model.size(), "fetched": report.fetched,
        "up_to_date": report.was_current,
    })
}
