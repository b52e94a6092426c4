//! What an inference backend is: traits over a device, a model, its cache and its lazy logits, and a deterministic fake.
