//! What models there are: the store, read-only.

use asking::bindings::wasmlx::runner::types::Error;

use crate::bindings::wasmlx::runner::console::print;
use crate::bindings::wasmlx::runner::store;

pub(crate) fn list() -> Result<(), Error> {
    for model in store::list()? {
        let runs = if model.runnable { "runs here" } else { "does not run here" };
        print(&format!("{} ({} bytes, {runs})\n", model.name, model.size))?;
    }
    Ok(())
}

pub(crate) fn show(name: &str) -> Result<(), Error> {
    let details = store::show(name)?;
    let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let model = details.model;
    print(&format!(
        "{}: {}, {} layers, {} files\n",
        model.name,
        known(model.architecture),
        known(details.layers.map(|layers| layers.to_string())),
        details.files.len(),
    ))?;
    let estimate = store::estimate(name)?;
    let guess = if estimate.is_guess { ", at a guess" } else { "" };
    print(&format!("{} bytes of memory with {} tokens{guess}\n", estimate.total, estimate.context))
}
