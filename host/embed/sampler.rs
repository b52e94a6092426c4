//! What chooses the tokens of an answer.

use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};
use wasmlx_components::{ComponentKind, PolicyComponent, Vocabulary};
use wasmlx_engine::{Chain, Sampling};

use super::components::{ComponentRef, Components};
use super::error::Result;
use super::generation_config::GenerationConfig;
use super::model::Model;
use super::slots::Occupant;

/// The policy component that nobody has to ask for.
pub const DEFAULT_POLICY: &str = "default-policy";

/// What chooses the tokens.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// [`DEFAULT_POLICY`], whose parameters are those given over those of the model's `generation_config.json`.
    #[default]
    Default,
    /// A policy component. It gets the parameters that are given and no others: what is left out has the default that
    /// the component gives it.
    Component(ComponentRef),
    /// The host's own chain, with no component. It has no parameters besides its own.
    Native(Chain),
}

impl From<&str> for Sampler {
    fn from(text: &str) -> Self {
        Self::Component(text.into())
    }
}

impl From<String> for Sampler {
    fn from(text: String) -> Self {
        Self::Component(text.into())
    }
}

impl From<ComponentRef> for Sampler {
    fn from(component: ComponentRef) -> Self {
        Self::Component(component)
    }
}

impl From<Chain> for Sampler {
    fn from(chain: Chain) -> Self {
        Self::Native(chain)
    }
}

/// A sampler whose component is loaded, with its parameters.
#[derive(Debug, Clone)]
pub(crate) enum LoadedSampler {
    Native(Chain),
    Component {
        policy: PolicyComponent,
        /// A JSON object.
        params: String,
    },
}

impl Sampler {
    /// Loads its component. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; what is wrong with the parameters is said when a request begins.
    pub(crate) fn load(
        &self,
        components: &Components,
        params: &Map<String, Value>,
        config: &GenerationConfig,
    ) -> Result<LoadedSampler> {
        LoadedSampler::of(&self.occupant(components)?, components, params, config)
    }

    /// What it puts into a slot. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`.
    pub(crate) fn occupant(&self, components: &Components) -> Result<Occupant> {
        Ok(match self {
            Self::Default => Occupant::Default,
            Self::Native(chain) => Occupant::Native(chain.clone()),
            Self::Component(component) => Occupant::Component(components.load(component, ComponentKind::Policy)?),
        })
    }
}

impl LoadedSampler {
    /// What sits in a slot, with parameters. Blocks where that is the default, whose component may not be loaded yet.
    pub(crate) fn of(
        occupant: &Occupant,
        components: &Components,
        params: &Map<String, Value>,
        config: &GenerationConfig,
    ) -> Result<Self> {
        let (component, params) = match occupant {
            Occupant::Native(chain) => return Ok(Self::Native(chain.clone())),
            Occupant::Default => {
                let component = components.load(&DEFAULT_POLICY.into(), ComponentKind::Policy)?;
                (component, over(&config.sampling, params))
            }
            Occupant::Component(component) => (component.clone(), params.clone()),
        };
        Ok(Self::Component { policy: PolicyComponent::new(&component)?, params: Value::Object(params).to_string() })
    }

    /// Its component's name, or `native`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Native(_) => "native",
            Self::Component { policy, .. } => policy.component().name(),
        }
    }

    /// What chooses the tokens of one request. Blocks while the component computes.
    ///
    /// # Errors
    /// What the component says of its parameters.
    pub(crate) fn sampling(
        &self,
        vocabulary: &Vocabulary,
    ) -> std::result::Result<Sampling, wasmlx_components::ComponentError> {
        match self {
            Self::Native(chain) => {
                Ok(Sampling::Chain(Chain { xtc_special: vocabulary.xtc_special.clone(), ..chain.clone() }))
            }
            Self::Component { policy, params } => Ok(match policy.plan(params, vocabulary)? {
                Some(chain) => Sampling::Chain(chain),
                None => Sampling::Policy(policy.instantiate(params, None, vocabulary)?),
            }),
        }
    }
}

/// What a policy may know of a model and of a request that ends at these tokens: how many scores there are, its
/// tokenizer, and the tokens that `xtc` spares, which are mlx-lm's: the ends of an answer and the newline.
pub(crate) fn vocabulary(model: &Model, end_tokens: &[u32]) -> Vocabulary {
    let mut xtc_special = model.end_tokens();
    let newline = model.tokenizer().ok().and_then(|tokenizer| tokenizer.encode_plain("\n", false).ok());
    xtc_special.extend(newline.unwrap_or_default());
    // A tokenizer may know more tokens than the model has scores.
    let size = model.info().vocabulary_size;
    xtc_special.retain(|&token| token < size);
    let tokenizer = model.tokenizer().ok().cloned();
    Vocabulary { size, xtc_special, end_tokens: end_tokens.to_vec(), tokenizer }
}

/// A seed that nobody chose.
pub(crate) fn random_seed() -> u64 {
    // The keys of a `RandomState` come from the system's randomness, and differ from one to the next.
    RandomState::new().hash_one(0)
}

/// Parameters over others.
fn over(base: &Map<String, Value>, params: &Map<String, Value>) -> Map<String, Value> {
    let mut all = base.clone();
    all.extend(params.clone());
    all
}
