//! Strings that know where each of their bytes came from.
//!
//! A marker such as `<|im_start|>` may become a control token only if the template wrote it, never because a user
//! typed it. So every string of a rendering carries, beside its characters, runs that say who wrote them, and
//! every operation on strings keeps the runs in step. The characters alone decide comparisons, searches and
//! branches: marking changes no output.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::rc::Rc;

/// Who wrote a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The template, or the configuration of its model.
    Template,
    /// Whoever supplied the conversation.
    Caller,
}

/// Bytes of one origin that follow each other, up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    end: usize,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origins {
    All(Origin),
    Mixed(Rc<[Run]>),
}

/// An immutable string with the origin of each byte. Two texts are equal where their characters are.
#[derive(Clone, Debug)]
pub struct Text {
    chars: Rc<str>,
    origins: Origins,
    /// Whether Jinja holds it for HTML already (`|safe`), which escapes what is added to it.
    markup: bool,
}

impl Text {
    /// A text of one origin.
    pub fn new(chars: &str, origin: Origin) -> Text {
        Text { chars: chars.into(), origins: Origins::All(origin), markup: false }
    }

    /// The template's own text.
    pub fn template(chars: &str) -> Text {
        Text::new(chars, Origin::Template)
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.chars
    }

    /// Whether this is what Python calls `Markup`.
    pub fn is_markup(&self) -> bool {
        self.markup
    }

    /// Whose the whole is: the caller's if any of it is.
    pub(crate) fn origin(&self) -> Origin {
        if self.has_caller() { Origin::Caller } else { Origin::Template }
    }

    /// Whether any of it is the caller's.
    pub(crate) fn has_caller(&self) -> bool {
        self.runs().any(|(_, origin)| origin == Origin::Caller)
    }

    /// The same characters, as `Markup` or as a plain string.
    pub fn with_markup(mut self, markup: bool) -> Text {
        self.markup = markup;
        self
    }

    /// Pieces of one origin each, in order; none is empty.
    pub fn runs(&self) -> impl Iterator<Item = (&str, Origin)> {
        self.runs_within(0..self.chars.len())
    }

    fn runs_within(&self, range: Range<usize>) -> impl Iterator<Item = (&str, Origin)> {
        let (all, mixed): (Option<Run>, &[Run]) = match &self.origins {
            Origins::All(origin) => (Some(Run { end: self.chars.len(), origin: *origin }), &[]),
            Origins::Mixed(runs) => (None, &runs[runs.partition_point(|run| run.end <= range.start)..]),
        };
        let mut start = range.start;
        all.into_iter().chain(mixed.iter().copied()).map_while(move |run| {
            let end = run.end.min(range.end);
            let piece = (start < end).then(|| &self.chars[start..end]);
            start = end;
            piece.map(|piece| (piece, run.origin))
        })
    }

    /// The bytes of `range`, which must lie on character borders. Keeps being `Markup`.
    pub fn slice(&self, range: Range<usize>) -> Text {
        if range == (0..self.chars.len()) {
            return self.clone();
        }
        let mut builder = TextBuilder::default();
        builder.push_slice(self, range);
        builder.finish().with_markup(self.markup)
    }

    /// A text with each character replaced by what `map` appends for it. Keeps being `Markup`.
    pub fn map(&self, mut map: impl FnMut(char, &mut String)) -> Text {
        let mut builder = TextBuilder::default();
        let mut mapped = String::new();
        for (piece, origin) in self.runs() {
            mapped.clear();
            piece.chars().for_each(|c| map(c, &mut mapped));
            builder.push_str(&mapped, origin);
        }
        builder.finish().with_markup(self.markup)
    }

    /// The byte index of each character, and the length at the end.
    pub fn borders(&self) -> Vec<usize> {
        self.chars.char_indices().map(|(index, _)| index).chain([self.chars.len()]).collect()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.chars == other.chars
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    // UTF-8 orders as code points do, so bytes compare as Python's strings.
    fn cmp(&self, other: &Text) -> Ordering {
        self.chars.cmp(&other.chars)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chars.hash(state);
    }
}

/// Puts a [`Text`] together from pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextBuilder {
    chars: String,
    runs: Vec<Run>,
}

impl TextBuilder {
    /// Appends a text.
    pub(crate) fn push(&mut self, text: &Text) {
        self.push_slice(text, 0..text.chars.len());
    }

    /// Appends the bytes of `range`, which must lie on character borders.
    pub(crate) fn push_slice(&mut self, text: &Text, range: Range<usize>) {
        for (piece, origin) in text.runs_within(range) {
            self.push_str(piece, origin);
        }
    }

    /// Appends a string of one origin.
    pub(crate) fn push_str(&mut self, chars: &str, origin: Origin) {
        if chars.is_empty() {
            return;
        }
        self.chars.push_str(chars);
        let end = self.chars.len();
        match self.runs.last_mut() {
            Some(run) if run.origin == origin => run.end = end,
            _ => self.runs.push(Run { end, origin }),
        }
    }

    /// Appends a character.
    pub(crate) fn push_char(&mut self, c: char, origin: Origin) {
        self.push_str(c.encode_utf8(&mut [0; 4]), origin);
    }

    /// Appends what the template itself writes.
    pub(crate) fn push_template(&mut self, chars: &str) {
        self.push_str(chars, Origin::Template);
    }

    /// The length so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.chars.len()
    }

    /// Makes all from a byte on the caller's.
    pub(crate) fn claim(&mut self, from: usize) {
        let rest = self.chars.split_off(from);
        let whole = self.runs.partition_point(|run| run.end <= from);
        let begins_run = from == self.runs[..whole].last().map_or(0, |run| run.end);
        self.runs.truncate(if begins_run { whole } else { whole + 1 });
        if let Some(cut) = self.runs.get_mut(whole) {
            cut.end = from;
        }
        self.push_str(&rest, Origin::Caller);
    }

    /// The text.
    pub(crate) fn finish(self) -> Text {
        let origins = match self.runs.as_slice() {
            [] => Origins::All(Origin::Template),
            [run] => Origins::All(run.origin),
            runs => Origins::Mixed(runs.into()),
        };
        Text { chars: self.chars.into(), origins, markup: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Text {
        let mut builder = TextBuilder::default();
        builder.push_template("<é");
        builder.push_str("日b", Origin::Caller);
        builder.push_template(">");
        builder.finish()
    }

    #[test]
    fn slices_keep_the_origin_of_each_byte() {
        let text = mixed();
        assert_eq!(text.as_str(), "<é日b>");
        let slice = text.slice(1..6);
        let runs: Vec<_> = slice.runs().collect();
        assert_eq!(runs, [("é", Origin::Template), ("日", Origin::Caller)]);
        assert_eq!(text.slice(3..3).runs().count(), 0);
    }

    #[test]
    fn mapping_keeps_the_origin_of_each_character() {
        let text = mixed().map(|c, out| out.extend(c.to_uppercase().chain(['.'])));
        let runs: Vec<_> = text.runs().collect();
        assert_eq!(runs, [("<.É.", Origin::Template), ("日.B.", Origin::Caller), (">.", Origin::Template)]);
    }

    #[test]
    fn claiming_reaches_from_any_byte_to_the_end() {
        for from in 0..=mixed().as_str().len() {
            let mut builder = TextBuilder::default();
            builder.push(&mixed());
            if !builder.chars.is_char_boundary(from) {
                continue;
            }
            builder.claim(from);
            let text = builder.finish();
            assert_eq!(text, mixed());
            assert_eq!(text.runs().map(|(piece, _)| piece).collect::<String>(), mixed().as_str());
            let of = |range: Range<usize>| text.slice(range).runs().map(|(_, origin)| origin).collect::<Vec<_>>();
            assert!(of(from..text.as_str().len()).iter().all(|origin| *origin == Origin::Caller));
            assert_eq!(of(0..from), mixed().slice(0..from).runs().map(|(_, origin)| origin).collect::<Vec<_>>());
        }
    }

    #[test]
    fn origins_do_not_change_equality() {
        assert_eq!(mixed(), Text::template("<é日b>"));
    }
}
