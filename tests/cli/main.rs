//! End-to-end tests of the `wasmlx` program, on its built-in model.

mod bench;
#[cfg(unix)]
mod chat;
mod doctor;
mod run;
mod support;
mod template;
mod test_command;
mod usage;
