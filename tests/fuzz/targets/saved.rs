//! What a component saved, and the file of a saved conversation. A state that is none is refused by whoever restores it.

use std::sync::LazyLock;

use wasmlx::SavedChat;
use wasmlx_components::{ComponentErrorKind, PolicyComponent, Vocabulary};
use wasmlx_engine::SavedState;

use super::Bytes;

static MIROSTAT: LazyLock<PolicyComponent> =
    LazyLock::new(|| PolicyComponent::new(&super::runtime().builtin("mirostat").unwrap()).unwrap());

pub(super) fn run(bytes: &[u8]) {
    if let Ok(saved) = SavedChat::from_json(&String::from_utf8_lossy(bytes)) {
        assert_eq!(SavedChat::from_json(&saved.to_json()).unwrap().state, saved.state);
    }
    let mut numbers = Bytes(bytes);
    let state = SavedState { version: numbers.next_u32(), bytes: numbers.0.to_vec() };
    let vocabulary = Vocabulary { size: 260, ..Vocabulary::default() };
    match MIROSTAT.instantiate("{}", Some(state), &vocabulary) {
        Ok(mut policy) => drop(policy.save().unwrap()),
        Err(error) => assert_eq!(error.kind(), ComponentErrorKind::InvalidInput, "{error}"),
    }
}
