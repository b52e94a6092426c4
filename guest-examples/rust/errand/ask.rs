//! A question to a model that is granted by name.

use asking::bindings::wasmlx::runner::types::Error;

use crate::bindings::wasmlx::runner::console::print;

pub(crate) fn ask(model: &str, question: &str) -> Result<(), Error> {
    // Without the grant this is `denied`.
    let (context, _) = asking::ask(model, question)?;
    asking::answer(&context, None, None, print)?;
    print("\n")
}
