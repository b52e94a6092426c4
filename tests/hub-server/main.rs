//! Serves a folder as a hub.

fn main() {}
