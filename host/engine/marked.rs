//! Segments joined to one text, to be compared byte by byte with another.

use std::ops::Range;

use wasmlx_text::Segment;

/// A text with the kind of each of its bytes. Neighbours of one kind are one, but each control segment stands alone:
/// exactly what makes a difference to the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedText {
    text: String,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    kind: Kind,
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Control,
    Trusted,
    Untrusted,
}

impl MarkedText {
    pub(crate) fn join(segments: &[Segment]) -> Self {
        let mut joined = Self { text: String::new(), runs: Vec::new() };
        for segment in segments {
            let kind = match segment {
                Segment::Control(_) => Kind::Control,
                Segment::Trusted(_) => Kind::Trusted,
                Segment::Untrusted(_) => Kind::Untrusted,
            };
            joined.push(kind, segment.text());
        }
        joined
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The segments that it is made of.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let make = |(run, range): (&Run, Range<usize>)| {
            let text = self.text[range].to_owned();
            match run.kind {
                Kind::Control => Segment::Control(text),
                Kind::Trusted => Segment::Trusted(text),
                Kind::Untrusted => Segment::Untrusted(text),
            }
        };
        self.runs().map(make).collect()
    }

    /// What lies behind a byte, which is on a character's border and in no control segment.
    pub(crate) fn after(&self, start: usize) -> Self {
        let mut rest = Self { text: String::new(), runs: Vec::new() };
        for (run, range) in self.runs().filter(|(_, range)| range.end > start) {
            rest.push(run.kind, &self.text[range.start.max(start)..range.end]);
        }
        rest
    }

    /// Whether `other`, kinds included, lies here from byte `at` on.
    pub(crate) fn has_at(&self, at: usize, other: &Self) -> bool {
        self.has_text_at(at, &other.text)
            && other.runs().all(|(run, range)| {
                let (start, end) = (at + range.start, at + range.end);
                self.run_at(start).is_some_and(|(own, own_range)| {
                    own.kind == run.kind
                        && end <= own_range.end
                        && (own.kind != Kind::Control || own_range == (start..end))
                })
            })
    }

    /// Whether this text lies here from byte `at` on, in any kind, and ends in no control segment's middle.
    pub(crate) fn has_text_at(&self, at: usize, text: &str) -> bool {
        let end = at + text.len();
        self.text.as_bytes().get(at..end) == Some(text.as_bytes()) && !self.is_within_control(end)
    }

    /// How many bytes of this text lie here from byte `at` on.
    pub(crate) fn common_text_at(&self, at: usize, text: &str) -> usize {
        let here = self.text.as_bytes().get(at..).unwrap_or_default();
        here.iter().zip(text.as_bytes()).take_while(|(own, other)| own == other).count()
    }

    /// Whether a run ends at this byte.
    pub(crate) fn has_border_at(&self, at: usize) -> bool {
        self.runs.binary_search_by_key(&at, |run| run.end).is_ok()
    }

    fn push(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(last) if last.kind == kind && kind != Kind::Control => last.end = end,
            _ => self.runs.push(Run { kind, end }),
        }
    }

    fn runs(&self) -> impl Iterator<Item = (&Run, Range<usize>)> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        self.runs.iter().zip(starts).map(|(run, start)| (run, start..run.end))
    }

    /// The run that a byte lies in.
    fn run_at(&self, at: usize) -> Option<(&Run, Range<usize>)> {
        let index = self.runs.partition_point(|run| run.end <= at);
        let start = index.checked_sub(1).map_or(0, |before| self.runs[before].end);
        self.runs.get(index).map(|run| (run, start..run.end))
    }

    fn is_within_control(&self, at: usize) -> bool {
        self.run_at(at).is_some_and(|(run, range)| run.kind == Kind::Control && range.start < at)
    }
}
