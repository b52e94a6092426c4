//! Components against the runtime: good ones, hostile ones, and such as cannot run.

mod chats;
mod guests;
mod hostile;
mod loading;
mod policies;
mod shipped;
mod templates;
