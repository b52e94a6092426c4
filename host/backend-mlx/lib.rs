//! The MLX backend: Metal on Apple silicon, the CPU or CUDA on Linux.
