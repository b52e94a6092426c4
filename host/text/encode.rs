//! Segments to ids.
//!
//! This repeats what `encode` of the tokenizers crate does (match added tokens in the text as written, normalise the
//! rest, match the others in that, cut into words, run the model on each), through the same public parts, with two
//! changes: an added token matches only where the prompt's trust lets it, and what the model itself makes of
//! untrusted text is checked as well.

use std::ops::Range;

use tokenizers::tokenizer::normalizer::Range as Span;
use tokenizers::{
    Encoding, Model, NormalizedString, Normalizer, OffsetType, PreTokenizedString, PreTokenizer, Split, Token,
};

use crate::added_tokens::{AddedToken, Match, Pass};
use crate::error::{TextError, TextErrorKind, guarded};
use crate::segment::{Prompt, Segment};
use crate::tokenizer::{Inner, Tokenizer};

/// One token of an encoded prompt, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedToken {
    /// Its id.
    pub id: u32,
    /// The bytes of the joined text it stands for. Tokens that share a character each have all of its bytes; what the
    /// tokenizer put in by itself shares its neighbour's. A mark that normalisation fused with the letter before it is
    /// counted to no token.
    pub bytes: Range<usize>,
}

impl Tokenizer {
    /// Encodes a prompt.
    ///
    /// The segments' texts are joined and encoded as one, so that merges are those the model was trained on. In the
    /// joined text, an added token with any character that is not whitespace matches only where each of its bytes
    /// lies in control or trusted segments, be it called special or not; no other way leads from untrusted text to
    /// such a token's id either, but for a token of one single character that the model's own vocabulary has as well.
    /// Added tokens of whitespace match everywhere. A control segment always becomes the token it names. Nothing is
    /// put around the text: the template writes what begins and ends it.
    ///
    /// # Errors
    /// [`TextErrorKind::UnknownControlToken`] for a control segment that is not the name of an added token;
    /// [`TextErrorKind::TokenizerFailed`] where the tokenizer's own parts fail.
    pub fn encode(&self, segments: &[Segment]) -> Result<Vec<u32>, TextError> {
        self.encode_from(segments, 0)
    }

    /// Encodes the prompt's joined text from byte `from` on, for callers that hold the ids of what lies before it.
    ///
    /// Trust is that of the whole prompt. Nothing that lies before `from` is encoded, but it is looked at: a text in
    /// the middle takes no prefix space that only a beginning takes, a word is cut as it is in the whole text, and
    /// whitespace that the token before `from` takes along is not encoded again. No token reaches across `from`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; and [`TextErrorKind::InvalidOffset`] where `from` lies behind the text or inside a
    /// character.
    pub fn encode_from(&self, segments: &[Segment], from: usize) -> Result<Vec<u32>, TextError> {
        let prompt = Prompt::join(segments, &self.inner.added)?;
        if !prompt.text.is_char_boundary(from) {
            return Err(TextError::new(
                TextErrorKind::InvalidOffset,
                format!(
                    "A prompt of {} bytes cannot be encoded from byte {from} on: that is behind its end or inside a \
                     character. Give the length of a text that the prompt begins with.",
                    prompt.text.len()
                ),
            ));
        }
        let encoding = guarded("encode", || self.inner.encode(&prompt, from, OffsetType::None))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// As [`Tokenizer::encode`], with the bytes that each token stands for.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, segments: &[Segment]) -> Result<Vec<EncodedToken>, TextError> {
        let prompt = Prompt::join(segments, &self.inner.added)?;
        let encoding = guarded("encode", || self.inner.encode(&prompt, 0, OffsetType::Byte))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(&id, &(start, end))| EncodedToken { id, bytes: start..end }).collect())
    }

    /// Encodes a text that its author gives for themselves, all of it trusted, outside any template.
    ///
    /// With `add_special` the tokens that the tokenizer puts around a text are added, such as one that begins it,
    /// unless the text begins with that one already.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`] where the tokenizer's own parts fail.
    pub fn encode_plain(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TextError> {
        let inner = &*self.inner;
        let encoding = guarded("encode", || inner.encode(&Prompt::trusted_text(text), 0, OffsetType::None))?;
        let bos = self.special().bos.as_ref().and_then(|name| self.token_id(name));
        if !add_special || (bos.is_some() && encoding.get_ids().first().copied() == bos) {
            return Ok(encoding.get_ids().to_vec());
        }
        let encoding = guarded("encode", || inner.base.post_process(encoding, None, true))?;
        let mut ids = encoding.get_ids().to_vec();
        if let Some(bos) = bos.filter(|bos| inner.add_bos_token && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }
}

impl Inner {
    /// Encodes the prompt's text from byte `from`, which lies on a character's border.
    fn encode(&self, prompt: &Prompt, from: usize, offsets: OffsetType) -> Result<Encoding, tokenizers::Error> {
        // Control tokens are first looked for as any text would be, which keeps what surrounds them as the model knows
        // it. Where that misses one (it is single-word within a word, or its normalised form differs), all are set.
        let (mut pieces, missed) = self.cut(prompt, from, &[])?;
        if missed {
            // One that `from` cuts in two is text on both sides.
            let is_whole = |(bytes, _): &&(Range<usize>, usize)| bytes.end <= from || from <= bytes.start;
            let controls: Vec<_> = prompt.controls.iter().filter(is_whole).cloned().collect();
            (pieces, _) = self.cut(prompt, from, &controls)?;
        }
        pieces.tokenize(|piece| {
            let tokens = self.base.get_model().tokenize(piece.get())?;
            if tokens.iter().any(|token| self.added.is_control(token.id)) {
                self.without_forged(prompt, piece, tokens)
            } else {
                Ok(tokens)
            }
        })?;
        pieces.into_encoding(None, 0, offsets)
    }

    /// Cuts the text into words, with the ids of added tokens in place, and no ids at all for what lies before `from`.
    /// Also says whether a control segment from there on was not found as such.
    fn cut(
        &self,
        prompt: &Prompt,
        from: usize,
        set: &[(Range<usize>, usize)],
    ) -> Result<(PreTokenizedString, bool), tokenizers::Error> {
        let may_match = |token: &AddedToken, bytes: &Range<usize>| {
            let crosses = bytes.start < from && from < bytes.end;
            !crosses && (token.blank || prompt.is_trusted(bytes))
        };
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        let mut pieces = PreTokenizedString::from(prompt.text.as_str());
        pieces.split(|_, text| {
            let matches = self.added.find(Pass::Plain, text.get(), set, may_match);
            self.apart(&text, &matches, from, &mut found)
        })?;
        pieces.split(|_, text| {
            let mut parts = Vec::new();
            for text in self.normalize(text, from)? {
                let may_match = |token: &AddedToken, bytes: &Range<usize>| {
                    original(&text, bytes.clone()).is_some_and(|bytes| may_match(token, &bytes))
                };
                let matches = self.added.find(Pass::Normalized, text.get(), &[], may_match);
                parts.extend(self.apart(&text, &matches, from, &mut found)?);
            }
            Ok(parts)
        })?;
        if let Some(pre_tokenizer) = self.base.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        if from > 0 {
            pieces.split(|_, piece| Ok(behind(piece, from)))?;
        }

        found.sort_unstable_by_key(|(bytes, _)| bytes.start);
        let is_found = |(control, token): &(Range<usize>, usize)| {
            let next = found.partition_point(|(bytes, _)| bytes.start <= control.start);
            // A match may hold more than the segment: a normalised form can begin with a space.
            next > 0 && found[next - 1].1 == *token && control.end <= found[next - 1].0.end
        };
        let missed = !prompt.controls.iter().filter(|(control, _)| control.start >= from).all(is_found);
        Ok((pieces, missed))
    }

    /// Cuts a text at its matches, and notes in `found` where in the prompt these lie. What lies before `from` is
    /// given no ids.
    fn apart(
        &self,
        text: &NormalizedString,
        matches: &[Match],
        from: usize,
        found: &mut Vec<(Range<usize>, usize)>,
    ) -> Result<Vec<Split>, tokenizers::Error> {
        let slice =
            |bytes: Range<usize>| text.slice(Span::Normalized(bytes)).ok_or("an added token is cut inside a character");
        let between = |bytes: Range<usize>| -> Result<Split, tokenizers::Error> {
            let text = slice(bytes)?;
            let done = text.offsets_original().1 <= from;
            Ok(Split::from((text, done.then(Vec::new))))
        };
        let mut parts = Vec::with_capacity(2 * matches.len() + 1);
        let mut at = 0;
        for Match { token, core, whole } in matches {
            if at < whole.start {
                parts.push(between(at..whole.start)?);
            }
            let bytes = original(text, core.clone()).unwrap_or_default();
            let value = slice(whole.clone())?;
            let length = value.get().len();
            let ids = if bytes.start < from {
                Vec::new()
            } else {
                vec![Token::new(self.added.get(*token).id, value.get().to_owned(), (0, length))]
            };
            parts.push(Split::from((value, Some(ids))));
            found.push((bytes, *token));
            at = whole.end;
        }
        if at < text.get().len() {
            parts.push(between(at..text.get().len())?);
        }
        Ok(parts)
    }

    /// Normalises a text as a whole, unless that fuses the characters on the two sides of `from`: then each side by
    /// itself.
    fn normalize(&self, mut text: NormalizedString, from: usize) -> Result<Vec<NormalizedString>, tokenizers::Error> {
        let Some(normalizer) = self.base.get_normalizer() else {
            return Ok(vec![text]);
        };
        let (start, end) = text.offsets_original();
        if from <= start || end <= from {
            normalizer.normalize(&mut text)?;
            return Ok(vec![text]);
        }
        let mut whole = text.clone();
        normalizer.normalize(&mut whole)?;
        let border = from - start;
        let behind = whole.convert_offsets(Span::Original(border..end - start));
        if behind.and_then(|behind| original(&whole, behind)).is_some_and(|bytes| bytes.start == from) {
            return Ok(vec![whole]);
        }
        let sides = [text.slice(Span::Original(..border)), text.slice(Span::Original(border..))];
        let mut sides: Vec<NormalizedString> = sides.into_iter().flatten().collect();
        sides.iter_mut().try_for_each(|side| normalizer.normalize(side))?;
        Ok(sides)
    }

    /// The tokens that the model made of a piece, without control tokens spelled by untrusted text. A model's own
    /// vocabulary may hold such a token as an ordinary entry, and merge its way to it or look it up whole.
    fn without_forged(
        &self,
        prompt: &Prompt,
        piece: &NormalizedString,
        tokens: Vec<Token>,
    ) -> Result<Vec<Token>, tokenizers::Error> {
        let mut safe = Vec::with_capacity(tokens.len());
        for token in tokens {
            let (start, end) = token.offsets;
            let spelling = piece.get().get(start..end).unwrap_or_default();
            if !self.is_forged(prompt, piece, &token, spelling) {
                safe.push(token);
                continue;
            }
            // Half of the spelling is not the token's. Should it be another's, it is halved again.
            let count = spelling.chars().count();
            let middle = start + spelling.char_indices().nth(count / 2).map_or(0, |(at, _)| at);
            for half in [start..middle, middle..end] {
                let mut tokens = self.base.get_model().tokenize(&piece.get()[half.clone()])?;
                for token in &mut tokens {
                    token.offsets = (token.offsets.0 + half.start, token.offsets.1 + half.start);
                }
                safe.extend(self.without_forged(prompt, piece, tokens)?);
            }
        }
        Ok(safe)
    }

    fn is_forged(&self, prompt: &Prompt, piece: &NormalizedString, token: &Token, spelling: &str) -> bool {
        let Some(added) = self.added.by_id(token.id) else {
            return false;
        };
        // The token for the unknown stands for any text that the vocabulary cannot spell.
        let stands_for_unknown = Some(token.id) == self.unknown_id && spelling != added.content;
        // A single character cannot be spelled in another way.
        let divisible = spelling.chars().nth(1).is_some();
        let trusted =
            || original(piece, token.offsets.0..token.offsets.1).is_some_and(|bytes| prompt.is_trusted(&bytes));
        !added.blank && !stands_for_unknown && divisible && !trusted()
    }
}

/// The bytes of the prompt that a range of a normalised text came from.
fn original(text: &NormalizedString, range: Range<usize>) -> Option<Range<usize>> {
    let start = text.offsets_original().0;
    let bytes = text.convert_offsets(Span::Normalized(range))?;
    Some(start + bytes.start..start + bytes.end)
}

/// What of a piece lies at byte `from` of the prompt or behind it.
fn behind(piece: NormalizedString, from: usize) -> Option<NormalizedString> {
    let (start, end) = piece.offsets_original();
    if from <= start {
        Some(piece)
    } else if from < end {
        piece.slice(Span::Original(from - start..end - start))
    } else {
        None
    }
}
