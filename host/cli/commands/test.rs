//! `wasmlx test`: a component's own cases, with no model.

mod cost;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wasmlx::{CancelToken, CaseOutcome, Host, TestOptions};

use crate::GlobalOptions;
use crate::difference::{self, Line};
use crate::failure::{Failure, Result};
use crate::guest::{Guest, Source};
use crate::interrupt::Interrupt;
use crate::output::{self, Output};
use crate::watch::{self, Watch};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A component's folder, with its cases in `cases/*.json`, or its .wasm file, with `cases/` beside it
    path: PathBuf,
    /// Build and test again whenever the source or a case changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Measure what the component costs, in place of running its cases; PATH may be an installed component's name, whose
    /// cost card is renewed
    #[arg(long, conflicts_with = "watch")]
    cost: bool,
    /// Run what the cassettes (`cases/*.cassette.json`) say on the built-in model first, and keep what happens
    #[arg(long, conflicts_with_all = ["cost", "watch"])]
    record: bool,
    /// Write what the component does into the cases that fail, in the place of what they expect
    #[arg(long, conflicts_with_all = ["cost", "watch"])]
    update: bool,
}

pub(crate) async fn run(arguments: &Arguments, global: &GlobalOptions) -> Result {
    let host = Host::builder().build()?;
    if arguments.cost {
        return cost::run(&arguments.path, &host, global).await;
    }
    if arguments.watch {
        return watch(&arguments.path, &host, global).await;
    }
    let options = TestOptions::new().record(arguments.record).update(arguments.update);
    let guest = Guest::find(&arguments.path)?;
    let tested = test(guest, &host, options, &Interrupt::listen(), global).await;
    // Where runs were recorded, there is a device.
    host.stop().await;
    tested
}

/// Tests a component as its files are, again and again.
async fn watch(path: &Path, host: &Host, global: &GlobalOptions) -> Result {
    let interrupt = Interrupt::listen();
    let source = Source::open(path)?;
    let mut watch = Watch::new(source.files());
    loop {
        let outcome = match source.build(host).await {
            Ok(guest) => test(guest, host, TestOptions::new(), &interrupt, global).await,
            Err(failure) => Err(failure),
        };
        watch::tell(outcome, global)?;
        watch.next(global).await;
    }
}

/// Runs a component's cases. Ctrl-C breaks them off, so that nothing is left of what was made for them.
async fn test(
    guest: Guest,
    host: &Host,
    options: TestOptions,
    interrupt: &Interrupt,
    global: &GlobalOptions,
) -> Result {
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let guard = interrupt.guard(move || token.cancel());
    let tested = host.test_component_with(guest.component, guest.cases, options.cancel(cancel.clone())).await;
    drop(guard);
    if cancel.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    let report = tested?;
    let failed = report.failed();
    let mut output = Output::new();
    if global.json {
        let cases: Vec<Value> = report
            .cases
            .iter()
            .map(|case| match &case.outcome {
                CaseOutcome::Passed => json!({"file": case.file, "case": case.name, "passed": true}),
                CaseOutcome::Failed { expected, got } => {
                    json!({"file": case.file, "case": case.name, "passed": false, "expected": expected, "got": got})
                }
            })
            .collect();
        output.json(&json!({
            "component": report.component, "kind": report.kind,
            "passed": report.passed(), "failed": failed, "cases": cases,
            "recorded": report.recorded,
            "updated": report.updated.iter().map(|(file, case)| json!({"file": file, "case": case})).collect::<Vec<_>>(),
        }))?;
    } else {
        if !global.quiet {
            output.line(format_args!("{} ({})", report.component, report.kind))?;
        }
        for file in &report.recorded {
            output.line(format_args!("  recorded  {file}"))?;
        }
        for (file, case) in &report.updated {
            output.line(format_args!("  updated  {file}: {case}"))?;
        }
        for case in &report.cases {
            match &case.outcome {
                CaseOutcome::Passed if global.verbose > 0 => {
                    output.line(format_args!("  ok      {}: {}", case.file, case.name))?;
                }
                CaseOutcome::Passed => {}
                CaseOutcome::Failed { expected, got } => {
                    output.styled(output::BOLD, &format!("  FAILED  {}: {}\n", case.file, case.name))?;
                    side_by_side(&mut output, expected, got)?;
                }
            }
        }
        output.line(format_args!("{} passed, {failed} failed", report.passed()))?;
        output.flush()?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// Line under line, with a mark where the two differ.
fn side_by_side(output: &mut Output, expected: &str, got: &str) -> Result {
    for line in difference::lines(expected, got) {
        match line {
            Line::Same(text) => output.line(format_args!("            {text}"))?,
            Line::Expected(text) => output.line(format_args!("  expected  {text}"))?,
            Line::Got(text) => output.line(format_args!("  got       {text}"))?,
        }
    }
    Ok(())
}
