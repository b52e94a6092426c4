//! Ids to text, as they come.

use crate::byte_level;
use crate::error::TextError;
use crate::tokenizer::{Spelling, Tokenizer, fallback_byte};

/// Turns a stream of ids into a stream of text.
///
/// What [`push`](Self::push) gives out is never taken back and never ends in half a character; together with
/// [`finish`](Self::finish) it is exactly what [`Tokenizer::decode`] makes of all the ids. (Decoders that change what
/// stands before a token, such as one that takes the space before a full stop away, are beyond that: what was given out
/// stays, and nothing is left out.) A caller that wants to take
/// tokens back, by [`truncate`](Self::truncate), shows no more than the [`text_of`](Self::text_of) those that are left.
///
/// A push costs the decoding of a few tokens, however long the text is.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    skip_special: bool,
    text: String,
    /// After each token pushed: where its text ends, and the state to go on from.
    steps: Vec<Step>,
    state: State,
    /// The pieces that a [`Window`] counts: the context's, then those of the tokens. None where tokens are bytes.
    pieces: Vec<String>,
    /// The text of the window's pieces that are shown.
    shown: String,
    /// The state before the first token.
    origin: State,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    text_end: usize,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Bytes(Tail),
    Window(Window),
}

/// The beginning of a character whose rest is still to come: at most three bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    bytes: [u8; 3],
    length: u8,
}

/// Decoders look at what stands before a piece: whether it begins the text, whether a byte precedes it. So new pieces
/// are decoded behind some that are shown already, whose text is then cut off again.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// Pieces from here on are decoded together.
    start: usize,
    /// Those before this one are shown.
    shown: usize,
    /// The number of pieces.
    end: usize,
}

/// How many tokens before the first one are enough to know what a decoder does in the middle of a text.
const CONTEXT_TOKENS: usize = 8;

impl Detokenizer {
    /// For ids that begin a text. Tokenizers that write a word with the space before it drop that space here.
    ///
    /// With `skip_special`, special tokens add no text.
    pub fn new(tokenizer: &Tokenizer, skip_special: bool) -> Self {
        let state = match tokenizer.spelling() {
            Spelling::ByteLevel => State::Bytes(Tail::default()),
            _ => State::Window(Window { start: 0, shown: 0, end: 0 }),
        };
        Self {
            tokenizer: tokenizer.clone(),
            skip_special,
            text: String::new(),
            steps: Vec::new(),
            state,
            pieces: Vec::new(),
            shown: String::new(),
            origin: state,
        }
    }

    /// For ids that go on from others, such as those of a prompt to be completed, whose text is not shown again.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`](crate::TextErrorKind::TokenizerFailed) where the tokenizer's decoder fails.
    pub fn following(tokenizer: &Tokenizer, skip_special: bool, before: &[u32]) -> Result<Self, TextError> {
        let mut this = Self::new(tokenizer, skip_special);
        if let State::Window(window) = &mut this.state {
            let recent = &before[before.len().saturating_sub(CONTEXT_TOKENS)..];
            let shown = recent.iter().filter(|id| !(skip_special && tokenizer.is_special(**id)));
            this.pieces = shown.filter_map(|id| tokenizer.piece(*id)).collect();
            // The decoding of a run of bytes depends on the bytes to come.
            while this.pieces.last().is_some_and(|piece| fallback_byte(piece).is_some()) {
                this.pieces.pop();
            }
            this.shown = tokenizer.decode_pieces(this.pieces.clone())?;
            *window = Window { start: 0, shown: this.pieces.len(), end: this.pieces.len() };
            this.origin = this.state;
        }
        Ok(this)
    }

    /// Takes the next id and gives the text that is settled by it, which may be none.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`](crate::TextErrorKind::TokenizerFailed) where the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<&str, TextError> {
        let before = self.text.len();
        let is_shown = !(self.skip_special && self.tokenizer.is_special(id));
        if let Some(piece) = is_shown.then(|| self.tokenizer.piece(id)).flatten() {
            match self.state {
                State::Bytes(tail) => {
                    let tail = push_bytes(tail, &byte_level::bytes_of(&piece), &mut self.text);
                    self.state = State::Bytes(tail);
                }
                State::Window(window) => {
                    let window = self.push_piece(window, piece)?;
                    self.state = State::Window(window);
                }
            }
        }
        self.steps.push(Step { text_end: self.text.len(), state: self.state });
        Ok(&self.text[before..])
    }

    /// Ends the text and gives what was held back: bytes that never became a character are U+FFFD now.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`](crate::TextErrorKind::TokenizerFailed) where the tokenizer's decoder fails.
    pub fn finish(&mut self) -> Result<&str, TextError> {
        let before = self.text.len();
        match self.state {
            State::Bytes(tail) => {
                if tail.length > 0 {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                }
                self.state = State::Bytes(Tail::default());
            }
            State::Window(window) => {
                self.shown = self.show(window)?;
                self.state = State::Window(Window { shown: window.end, ..window });
            }
        }
        Ok(&self.text[before..])
    }

    /// All the text given out so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the ids so far are all text: nothing is held back for what may follow.
    pub fn is_settled(&self) -> bool {
        match self.state {
            State::Bytes(tail) => tail.length == 0,
            State::Window(window) => window.shown == window.end,
        }
    }

    /// The number of ids taken.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether no id was taken.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The text that the first `tokens` ids settled: what stays whichever ids come after them.
    pub fn text_of(&self, tokens: usize) -> &str {
        let end = match tokens.min(self.steps.len()).checked_sub(1) {
            Some(last) => self.steps[last].text_end,
            None => 0,
        };
        &self.text[..end]
    }

    /// Goes back to where only the first `tokens` ids were taken, and no end was called.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`](crate::TextErrorKind::TokenizerFailed) where the tokenizer's decoder fails.
    pub fn truncate(&mut self, tokens: usize) -> Result<(), TextError> {
        self.text.truncate(self.text_of(tokens).len());
        self.steps.truncate(tokens);
        self.state = self.steps.last().map_or(self.origin, |step| step.state);
        if let State::Window(window) = self.state {
            self.pieces.truncate(window.end);
            self.shown = self.tokenizer.decode_pieces(self.pieces[window.start..window.shown].to_vec())?;
        }
        Ok(())
    }

    fn push_piece(&mut self, window: Window, piece: String) -> Result<Window, TextError> {
        let spelling = self.tokenizer.spelling();
        // Byte tokens are one run, and one byte that fits no character makes U+FFFD of the whole run. It shows what it
        // is when it has ended.
        let is_open = spelling == Spelling::ByteFallback && fallback_byte(&piece).is_some();
        self.pieces.push(piece);
        let window = Window { end: self.pieces.len(), ..window };
        if is_open {
            return Ok(window);
        }
        if spelling == Spelling::ByteLevelWithin
            && self
                .tokenizer
                .decode_pieces(self.pieces[window.start..].to_vec())?
                .ends_with(char::REPLACEMENT_CHARACTER)
        {
            return Ok(window);
        }
        let whole = self.show(window)?;
        // The pieces just shown become what the next are decoded behind, if they have any text: a decoder that strips
        // the beginning of a text must find it there.
        let latest = self.tokenizer.decode_pieces(self.pieces[window.shown..].to_vec())?;
        let (start, shown) = if latest.is_empty() { (window.start, whole) } else { (window.shown, latest) };
        self.shown = shown;
        Ok(Window { start, shown: window.end, end: window.end })
    }

    /// Adds the text of the pieces not shown yet, and returns that of the whole window.
    fn show(&mut self, window: Window) -> Result<String, TextError> {
        let whole = self.tokenizer.decode_pieces(self.pieces[window.start..window.end].to_vec())?;
        let same = whole.chars().zip(self.shown.chars()).take_while(|(new, old)| new == old);
        let common: usize = same.map(|(letter, _)| letter.len_utf8()).sum();
        self.text.push_str(&whole[common..]);
        Ok(whole)
    }
}

/// Adds what is certain of `tail` and `bytes` to `text`, and returns the rest. Bytes that form no character become
/// U+FFFD as in `String::from_utf8_lossy`.
fn push_bytes(tail: Tail, bytes: &[u8], text: &mut String) -> Tail {
    let joined = [&tail.bytes[..tail.length as usize], bytes].concat();
    let mut rest = joined.as_slice();
    loop {
        match str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return Tail::default();
            }
            Err(error) => {
                let (valid, broken) = rest.split_at(error.valid_up_to());
                text.push_str(str::from_utf8(valid).unwrap_or_default());
                match error.error_len() {
                    Some(length) => {
                        text.push(char::REPLACEMENT_CHARACTER);
                        rest = &broken[length..];
                    }
                    None => {
                        let mut tail = Tail { length: broken.len() as u8, ..Tail::default() };
                        tail.bytes[..broken.len()].copy_from_slice(broken);
                        return tail;
                    }
                }
            }
        }
    }
}
