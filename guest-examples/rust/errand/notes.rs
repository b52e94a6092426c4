//! Notes that outlast a run: a key-value space.

use asking::bindings::wasmlx::runner::types::Error;

use crate::bindings::wasmlx::runner::console::print;
use crate::bindings::wasmlx::runner::key_value;

pub(crate) fn set(space: &str, key: &str, text: &str) -> Result<(), Error> {
    key_value::set(space, key, text.as_bytes())
}

pub(crate) fn get(space: &str, key: &str) -> Result<(), Error> {
    match key_value::get(space, key)? {
        Some(value) => print(&format!("{}\n", String::from_utf8_lossy(&value))),
        None => Err(Error::NotFound(format!("there is no note {key}"))),
    }
}

pub(crate) fn list(space: &str) -> Result<(), Error> {
    key_value::list(space)?.iter().try_for_each(|key| print(&format!("{key}\n")))
}

pub(crate) fn forget(space: &str, key: &str) -> Result<(), Error> {
    key_value::delete(space, key)
}
