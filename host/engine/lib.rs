//! The engine: requests, sequences, the scheduler on the device thread, the sampling chain.
