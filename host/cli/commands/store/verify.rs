//! `wasmlx store verify`: every file is hashed.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmlx::{CancelToken, Host, Verified, WorkOptions};

use crate::GlobalOptions;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Output};
use crate::progress::Bars;

pub(super) async fn run(global: &GlobalOptions) -> Result {
    let (interrupt, cancel, bars) = (Interrupt::listen(), CancelToken::new(), Arc::new(Bars::new(global)));
    let (token, shown) = (cancel.clone(), Arc::clone(&bars));
    let _guard = interrupt.guard(move || token.cancel());
    let options = WorkOptions::new().cancel(cancel).progress(move |progress| shown.update(progress));
    let verified = Host::builder().build()?.store().verify(options).await;
    drop(bars);
    let verified = verified?;

    let mut output = Output::new();
    if global.json {
        output.json(&verified_json(&verified))?;
    } else {
        for fault in &verified.faults {
            output.line(format_args!("{}", fault.message))?;
        }
        let (files, models) = (output::counted(verified.files, "file"), output::counted(verified.models, "model"));
        let size = output::bytes(verified.bytes);
        let outcome = match verified.faults.len() {
            0 => "all is as it should be".to_owned(),
            1 => "1 thing is not as it should be".to_owned(),
            count => format!("{count} things are not as they should be"),
        };
        if !global.quiet || !verified.faults.is_empty() {
            output.line(format_args!("{files} of {models}, {size}: {outcome}"))?;
        }
        output.flush()?;
    }
    if verified.faults.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn verified_json(verified: &Verified) -> Value {
    let faults = verified.faults.iter().map(|fault| {
        json!({
            "message": fault.message, "sha256": fault.digest, "models": fault.models, "moved_to": fault.moved_to,
        })
    });
    json!({
        "files": verified.files, "models": verified.models, "bytes": verified.bytes, "ok": verified.faults.is_empty(),
        "faults": faults.collect::<Vec<_>>(),
    })
}
