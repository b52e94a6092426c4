//! The forward pass: layers shared by all architectures.
//!
//! One sequence at a time: a hidden state is `[tokens, hidden_size]`, without a batch axis, and `[1, heads, tokens,
//! head_dimension]` inside attention, as MLX's kernels take it. Everything here only adds to MLX's graph.

mod attention;
mod decoder;
mod embedding;
mod feed_forward;
mod linear;
mod rms_norm;
mod rope;

pub(crate) use decoder::Decoder;
