//! A prompt while it is written.

use crate::bindings::wasmlx::runner::types::Segment;

/// Segments, in which neighbours of one kind are joined and nothing is empty.
#[derive(Default)]
pub(crate) struct Prompt(Vec<Segment>);

impl Prompt {
    /// A special token, by its name.
    pub(crate) fn control(&mut self, name: &str) {
        self.0.push(Segment::Control(name.to_owned()));
    }

    /// The template's own text.
    pub(crate) fn trusted(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Segment::Trusted(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Segment::Trusted(text.to_owned())),
        }
    }

    /// Text that a caller supplied: a marker written in it stays text.
    pub(crate) fn untrusted(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Segment::Untrusted(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Segment::Untrusted(text.to_owned())),
        }
    }

    pub(crate) fn finish(self) -> Vec<Segment> {
        self.0
    }
}
