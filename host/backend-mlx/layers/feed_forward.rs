//! The gated feed-forward layer (SwiGLU, arXiv:2002.05202).

use std::cell::RefCell;
use std::rc::Rc;

use mlx_rs::Array;
use mlx_rs::error::{Exception, Result as MlxResult};
use mlx_rs::ops::sigmoid;
use mlx_rs::transforms::compile::compile;
use wasmlx_backend::BackendError;

use super::linear::Linear;
use crate::config::ModelConfig;
use crate::weights::Weights;

/// `down(silu(gate(x)) * up(x))`.
pub(crate) struct FeedForward {
    gate_up: Linear,
    down: Linear,
    activation: Activation,
}

/// `silu(gate) * up`, of two arrays.
#[derive(Clone)]
pub(crate) enum Activation {
    /// Three operations.
    Plain,
    /// One kernel that MLX compiles on first use. On a CPU that would call the machine's C++ compiler.
    Compiled(Rc<RefCell<CompiledActivation>>),
}

type CompiledActivation = dyn for<'a> FnMut((&'a Array, &'a Array)) -> Result<Array, Exception>;

impl Activation {
    pub(crate) fn new(on_cpu: bool) -> Self {
        if on_cpu {
            return Self::Plain;
        }
        let compiled = compile(|(gate, up): (&Array, &Array)| silu_times(gate, up), true);
        Self::Compiled(Rc::new(RefCell::new(compiled)))
    }

    fn forward(&self, gate: &Array, up: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain => silu_times(gate, up),
            Self::Compiled(function) => (function.borrow_mut())((gate, up)),
        }
    }
}

fn silu_times(gate: &Array, up: &Array) -> MlxResult<Array> {
    gate.multiply(sigmoid(gate)?)?.multiply(up)
}

impl FeedForward {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        config: &ModelConfig,
        activation: Activation,
    ) -> Result<Self, BackendError> {
        let (hidden, middle, bias) = (config.hidden_size, config.intermediate_size, config.biases.feed_forward);
        let parts = [(&*format!("{name}.gate_proj"), middle), (&*format!("{name}.up_proj"), middle)];
        let gate_up = Linear::load_joined(weights, &parts, hidden, bias)?;
        let down = Linear::load(weights, (&format!("{name}.down_proj"), hidden), middle, bias)?;
        Ok(Self { gate_up, down, activation })
    }

    /// The layer's result for `x`, added to `base`.
    pub(crate) fn forward_onto(&self, x: &Array, base: &Array) -> MlxResult<Array> {
        let halves = self.gate_up.forward(x)?.split_equal(2, -1)?;
        let middle = self.activation.forward(&halves[0], &halves[1])?;
        self.down.forward_onto(&middle, base)
    }

    /// Bytes of device memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.gate_up.bytes() + self.down.bytes()
    }
}
