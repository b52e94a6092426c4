//! A deterministic backend for tests.
