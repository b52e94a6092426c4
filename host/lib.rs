//! wasmlx
