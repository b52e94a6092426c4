//! What a context's text is made of, and which of its tokens a new prompt keeps.

use wasmlx_text::{Detokenizer, Segment, TextError, Tokenizer};

use crate::marked::MarkedText;

/// A text as pieces, with its tokens.
#[derive(Clone)]
pub(crate) struct Transcript {
    tokenizer: Option<Tokenizer>,
    pieces: Vec<Piece>,
    ids: Vec<u32>,
    /// How many of the tokens the device has read, as far as is known.
    read: usize,
}

#[derive(Clone)]
struct Piece {
    kind: PieceKind,
    /// Where its tokens end among all.
    end: usize,
}

#[derive(Clone)]
enum PieceKind {
    /// Text that was encoded.
    Prompt(MarkedText),
    /// Text that was generated: where in it each token ends.
    Answer { text: String, ends: Vec<usize> },
    /// Tokens that were given as such, or are left of a prompt that was cut.
    Tokens,
}

/// As much of an old text as a new one repeats and keeps the tokens of.
struct Kept {
    /// Whole pieces.
    pieces: usize,
    /// Tokens of the answer after them.
    tokens: usize,
    /// Bytes of the new text.
    bytes: usize,
}

impl Transcript {
    pub(crate) fn new(tokenizer: Option<Tokenizer>) -> Self {
        Self { tokenizer, pieces: Vec::new(), ids: Vec::new(), read: 0 }
    }

    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How many of the tokens the device has read, as far as is known.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            match &piece.kind {
                PieceKind::Prompt(marked) => text.push_str(marked.text()),
                PieceKind::Answer { text: answer, .. } => text.push_str(answer),
                PieceKind::Tokens => text.push_str(&self.decoded(index)),
            }
        }
        text
    }

    /// The transcript that is exactly this prompt. Tokens of this one's answers are kept as far as the prompt repeats
    /// the text up to their end; all else is encoded anew, since merges depend on what follows.
    pub(crate) fn prompted(&self, tokenizer: &Tokenizer, segments: &[Segment]) -> Result<Self, TextError> {
        let marked = MarkedText::join(segments);
        let kept = self.kept_by(&marked);
        let mut new = self.cut_to(&kept);
        if kept.bytes < marked.text().len() {
            new.push(PieceKind::Prompt(marked.after(kept.bytes)), tokenizer.encode_from(segments, kept.bytes)?);
        }
        new.read = self.common_read(&new.ids);
        Ok(new)
    }

    /// The transcript with this prompt behind it. A prompt at its end is encoded anew together with it, so that the
    /// border between the two changes no merge.
    pub(crate) fn appended(&self, tokenizer: &Tokenizer, segments: &[Segment]) -> Result<Self, TextError> {
        let mut whole = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            match &piece.kind {
                PieceKind::Prompt(marked) => whole.extend(marked.segments()),
                PieceKind::Answer { text, .. } => whole.push(Segment::Untrusted(text.clone())),
                PieceKind::Tokens => whole.push(Segment::Untrusted(self.decoded(index))),
            }
        }
        let mut new = self.clone();
        if matches!(self.pieces.last(), Some(Piece { kind: PieceKind::Prompt(_), .. })) {
            new.pieces.pop();
            new.ids.truncate(new.pieces.last().map_or(0, |piece| piece.end));
        }
        let before = new.text().len();
        whole.extend_from_slice(segments);
        let marked = MarkedText::join(&whole);
        if before < marked.text().len() {
            new.push(PieceKind::Prompt(marked.after(before)), tokenizer.encode_from(&whole, before)?);
        }
        new.read = self.common_read(&new.ids);
        Ok(new)
    }

    /// The transcript that is exactly these tokens.
    pub(crate) fn of_tokens(&self, ids: &[u32]) -> Self {
        let mut new = Self::new(self.tokenizer.clone());
        new.push(PieceKind::Tokens, ids.to_vec());
        new.read = self.common_read(ids);
        new
    }

    /// Adds an answer of which this text was shown: its tokens as far as their text is part of that, and what a stop
    /// string left of the next one as text.
    pub(crate) fn answer(&mut self, mut ids: Vec<u32>, shown: &str, read: Option<usize>) {
        let read = read.or_else(|| (!ids.is_empty()).then(|| self.ids.len() + ids.len() - 1));
        let ends = self.ends_of(&ids);
        let mut kept = ends.partition_point(|&end| end <= shown.len());
        if let (true, Some(&end)) = (kept < ids.len(), ends[..kept].last()) {
            // What follows the token that ends there is the beginning of what was cut off.
            kept = first_to_reach(&ends, end);
        }
        ids.truncate(kept);
        let text_end = ends[..kept].last().copied().unwrap_or(0);
        if !ids.is_empty() {
            let text = shown.get(..text_end).unwrap_or_default().to_owned();
            self.push(PieceKind::Answer { text, ends: ends[..kept].to_vec() }, ids);
        }
        self.read = read.unwrap_or(self.read).min(self.ids.len());
        let rest = shown.get(text_end..).unwrap_or_default();
        if let (false, Some(tokenizer)) = (rest.is_empty(), self.tokenizer.clone()) {
            // Text that cannot be encoded is left out of the context: the answer itself was delivered.
            if let Ok(new) = self.appended(&tokenizer, &[Segment::Untrusted(rest.to_owned())]) {
                *self = new;
            }
        }
    }

    /// Forgets all but the first `len` tokens.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.ids.len() {
            return;
        }
        let whole = self.pieces.partition_point(|piece| piece.end <= len);
        let start = whole.checked_sub(1).map_or(0, |last| self.pieces[last].end);
        self.pieces.truncate(whole + 1);
        self.ids.truncate(len);
        self.read = self.read.min(len);
        match self.pieces.pop() {
            Some(Piece { kind: PieceKind::Answer { mut text, mut ends }, .. }) if len > start => {
                ends.truncate(len - start);
                text.truncate(ends.last().copied().unwrap_or(0));
                self.pieces.push(Piece { kind: PieceKind::Answer { text, ends }, end: len });
            }
            Some(_) if len > start => self.pieces.push(Piece { kind: PieceKind::Tokens, end: len }),
            _ => {}
        }
    }

    fn push(&mut self, kind: PieceKind, ids: Vec<u32>) {
        self.ids.extend(ids);
        self.pieces.push(Piece { kind, end: self.ids.len() });
    }

    /// How far a new text repeats this one up to the end of an answer.
    fn kept_by(&self, new: &MarkedText) -> Kept {
        let mut kept = Kept { pieces: 0, tokens: 0, bytes: 0 };
        let mut at = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            match &piece.kind {
                PieceKind::Prompt(marked) if new.has_at(at, marked) => at += marked.text().len(),
                PieceKind::Answer { text, .. } if new.has_text_at(at, text) => {
                    at += text.len();
                    kept = Kept { pieces: index + 1, tokens: 0, bytes: at };
                }
                PieceKind::Answer { text, ends } => {
                    // Where a template trimmed the answer, its segment ends at the end of one of the tokens.
                    let common = new.common_text_at(at, text);
                    let is_cut = |&&end: &&usize| end > 0 && end <= common && new.has_border_at(at + end);
                    if let Some(&end) = ends.iter().rev().find(is_cut) {
                        kept = Kept { pieces: index, tokens: first_to_reach(ends, end), bytes: at + end };
                    }
                    break;
                }
                PieceKind::Prompt(_) | PieceKind::Tokens => break,
            }
        }
        kept
    }

    fn cut_to(&self, kept: &Kept) -> Self {
        let mut new = self.clone();
        let pieces_end = kept.pieces.checked_sub(1).map_or(0, |last| self.pieces[last].end);
        new.truncate(pieces_end + kept.tokens);
        new.pieces.truncate(kept.pieces + usize::from(kept.tokens > 0));
        new
    }

    fn common_read(&self, ids: &[u32]) -> usize {
        self.ids[..self.read].iter().zip(ids).take_while(|(old, new)| old == new).count()
    }

    /// Where in the text that follows this one each token ends. Without a tokenizer nowhere but at its beginning.
    fn ends_of(&self, ids: &[u32]) -> Vec<usize> {
        let mut ends = vec![0; ids.len()];
        let Some(tokenizer) = &self.tokenizer else { return ends };
        if let Ok(mut detokenizer) = Detokenizer::following(tokenizer, false, &self.ids) {
            for (end, &id) in ends.iter_mut().zip(ids) {
                // The same ids went through when the answer was shown; one that does not now has no text.
                let _ = detokenizer.push(id);
                *end = detokenizer.text().len();
            }
            // A character that stays half belongs to the last token.
            if let (Some(end), Ok(rest)) = (ends.last_mut(), detokenizer.finish()) {
                *end += rest.len();
            }
        }
        ends
    }

    /// The text of a piece that is known by its tokens only.
    fn decoded(&self, index: usize) -> String {
        let start = index.checked_sub(1).map_or(0, |before| self.pieces[before].end);
        let ids = &self.ids[start..self.pieces[index].end];
        self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.decode(ids, false).ok()).unwrap_or_default()
    }
}

/// How many tokens there are up to the first whose text ends here.
fn first_to_reach(ends: &[usize], end: usize) -> usize {
    ends.partition_point(|&other| other < end) + 1
}
