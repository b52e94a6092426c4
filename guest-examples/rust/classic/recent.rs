//! The last tokens of the text, which penalties count.

/// At most `window` tokens, in order.
pub(crate) struct Recent {
    window: usize,
    tokens: Vec<u32>,
}

impl Recent {
    pub(crate) fn new(window: u32) -> Self {
        // Wider than what is addressable is as wide as the text.
        Self { window: usize::try_from(window).unwrap_or(usize::MAX), tokens: Vec::new() }
    }

    /// Goes on with new tokens, dropping those that fall out of the window.
    pub(crate) fn extend(&mut self, new: &[u32]) {
        let new = &new[new.len().saturating_sub(self.window)..];
        let kept = self.tokens.len().min(self.window - new.len());
        self.tokens.drain(..self.tokens.len() - kept);
        self.tokens.extend_from_slice(new);
    }

    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn holds_the_end_of_the_text_however_it_comes() {
        let text: Vec<u32> = (0..40).collect();
        for window in [0, 1, 7, 39, 40, 41] {
            for piece in [1, 3, 40] {
                let mut recent = Recent::new(window);
                for (index, new) in text.chunks(piece).enumerate() {
                    recent.extend(new);
                    let end = index * piece + new.len();
                    assert_eq!(recent.tokens(), &text[end.saturating_sub(window as usize)..end]);
                }
            }
        }
    }
}
