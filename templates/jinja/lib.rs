//! A component.
