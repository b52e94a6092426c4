//! A guest's sentence as a person sees it. It moves no cursor, hides nothing, and no line of it passes for the host's.

use wasmlx_components::{ComponentError, ComponentErrorKind};

/// What an error of a component may have, with what it says of what it left out.
const MOST: usize = (8 << 10) + 64;

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let told = |text: &str| ComponentError::new(ComponentErrorKind::InvalidInput, "guest", text);
    let error = told(&text);
    let sentence = error.message();
    assert!(sentence.len() <= MOST, "{} bytes of {}", sentence.len(), text.len());
    for character in sentence.chars().filter(|&character| character != '\n') {
        let is_bidirectional = matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
        assert!(!character.is_control() && !is_bidirectional, "{character:?} of {text:?}");
    }
    for line in sentence.split('\n').skip(1) {
        assert!(line.is_empty() || line.starts_with(' '), "{line:?} of {text:?}");
    }
    assert_eq!(told(sentence).message(), sentence, "what was written out stays as it is");
}
