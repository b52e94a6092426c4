//! The store on a real disk: what goes in comes out, nothing else does, and whatever is cut short can be finished. And
//! what is known of models without loading them.

#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not what they call

mod damage;
mod estimate;
mod facts;
#[cfg(feature = "hub")]
mod hub;
mod imports;
#[cfg(feature = "hub")]
mod minisign;
mod models;
mod names;
mod pulls;
mod search;
mod shared;
mod support;
