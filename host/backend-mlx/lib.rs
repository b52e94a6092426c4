//! The MLX backend: Metal on Apple silicon, the CPU or CUDA on Linux.
//!
//! [`MlxBackend`] is a [`wasmlx_backend::Backend`]: it [loads](wasmlx_backend::Backend::load) a folder of safetensors
//! into a [`Decoder`](layers::Decoder), whose forward pass is a lazy graph of MLX operations. mlx-rs is used here and
//! nowhere else; no array leaves this crate but inside a handle.
//!
//! | module | what it knows |
//! |---|---|
//! | [`device`] | which devices there are, counters, memory |
//! | [`config`] | `config.json`, checked, with the defaults of its architecture ([`models`]) |
//! | [`safetensors`] | the header of a weights file, checked before MLX sees the file |
//! | [`weights`], [`packed`] | tensors by name, quantised matrices |
//! | [`layers`], [`cache`] | the forward pass, its keys and values |
//! | [`quantize`] | a folder written again, its matrices quantised |
//! | [`model`], [`logits`] | the handles that the engine holds |

#![warn(missing_docs)]

mod available_memory;
mod cache;
pub mod config;
mod device;
mod error;
mod files;
mod layers;
mod logits;
mod model;
mod models;
mod packed;
mod quantize;
pub mod safetensors;
mod weights;

pub use device::{DeviceChoice, Installation, MlxBackend, installation, memory_for_models};
pub use models::ARCHITECTURES;
