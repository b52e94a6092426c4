//! `Markup`: strings that Jinja holds for HTML already. Chat templates escape nothing, yet `|safe` makes a string
//! `Markup` all the same, and what is added to it is escaped: models were trained on such prompts.

use crate::text::Text;

/// The text with HTML's five characters escaped, as `Markup`; what is `Markup` already stays.
pub(crate) fn escape(text: &Text) -> Text {
    if text.is_markup() {
        return text.clone();
    }
    force_escape(text)
}

/// The text escaped even if it is `Markup`.
pub(crate) fn force_escape(text: &Text) -> Text {
    let escaped = text.map(|c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\'' => out.push_str("&#39;"),
        '"' => out.push_str("&#34;"),
        c => out.push(c),
    });
    escaped.with_markup(true)
}
