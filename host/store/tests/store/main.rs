//! The store on a real disk: what goes in comes out, nothing else does, and whatever is cut short can be finished.

mod names;
mod pulls;
mod support;
