//! The model store: where models and components lie on disk, and what is known of them.
