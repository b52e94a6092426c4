//! An agent that runs errands, to show what each grant gives and what its absence looks like from within.
//!
//! ```text
//! fetch URL             http=HOST     follows redirects, each by the grants
//! read PATH             read=FOLDER
//! write PATH TEXT       write=FOLDER
//! note SPACE KEY TEXT   kv=SPACE      also `note SPACE KEY`, `notes SPACE`, `forget SPACE KEY`
//! env NAME              env=NAME
//! ask MODEL QUESTION    model=MODEL
//! models                store=read    also `model NAME`
//! ```

mod ask;
mod fetch;
mod files;
mod models;
mod notes;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({
        world: "agent",
        path: "../../../wit",
        with: {
            "wasmlx:runner/contexts@0.1.0": asking::bindings::wasmlx::runner::contexts,
            "wasmlx:runner/templates@0.1.0": asking::bindings::wasmlx::runner::templates,
            "wasmlx:runner/types@0.1.0": asking::bindings::wasmlx::runner::types,
        },
        generate_all,
    });
    export!(Component with_types_in self);
}

use asking::bindings::wasmlx::runner::types::Error;
use bindings::wasi::cli::environment::get_environment;
use bindings::wasmlx::runner::console::print;

struct Component;

impl bindings::Guest for Component {
    fn run(args: Vec<String>) -> Result<(), Error> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["fetch", url] => fetch::fetch(url),
            ["read", path] => files::read(path),
            ["write", path, text] => files::write(path, text),
            ["note", space, key, text] => notes::set(space, key, text),
            ["note", space, key] => notes::get(space, key),
            ["notes", space] => notes::list(space),
            ["forget", space, key] => notes::forget(space, key),
            ["env", name] => env(name),
            ["ask", model, question] => ask::ask(model, question),
            ["models"] => models::list(),
            ["model", name] => models::show(name),
            _ => Err(Error::InvalidInput(
                "usage: fetch URL, read PATH, write PATH TEXT, note SPACE KEY [TEXT], notes SPACE, forget SPACE KEY, \
                 env NAME, ask MODEL QUESTION, models or model NAME"
                    .into(),
            )),
        }
    }
}

/// A variable that is not granted is not there.
fn env(name: &str) -> Result<(), Error> {
    match get_environment().into_iter().find(|(found, _)| found == name) {
        Some((_, value)) => print(&format!("{value}\n")),
        None => Err(Error::Denied(format!("there is no variable {name}: --grant 'env={name}'?"))),
    }
}
