//! Set-up, guests, tidy checks, tests, bundles: `cargo xtask help`.

fn main() {}
