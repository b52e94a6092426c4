//! A prompt as it is put together from segments.

use crate::Segment;

/// Segments in order; neighbours of a kind become one, but for control tokens, and empty ones are left out.
#[derive(Debug, Default)]
pub struct Prompt {
    segments: Vec<Segment>,
}

impl Prompt {
    /// Appends a control token by its name.
    pub fn control(&mut self, name: &str) {
        self.segments.push(Segment::Control(name.to_owned()));
    }

    /// Appends the template's own text.
    pub fn trusted(&mut self, text: &str) {
        match self.segments.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Trusted(last)) => last.push_str(text),
            _ => self.segments.push(Segment::Trusted(text.to_owned())),
        }
    }

    /// Appends what a caller supplied.
    pub fn untrusted(&mut self, text: &str) {
        match self.segments.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Untrusted(last)) => last.push_str(text),
            _ => self.segments.push(Segment::Untrusted(text.to_owned())),
        }
    }

    /// The segments.
    pub fn finish(self) -> Vec<Segment> {
        self.segments
    }
}

/// The prompt as one text.
pub fn joined(segments: &[Segment]) -> String {
    let text = |segment: &Segment| match segment {
        Segment::Control(text) | Segment::Trusted(text) | Segment::Untrusted(text) => text.clone(),
    };
    segments.iter().map(text).collect()
}
