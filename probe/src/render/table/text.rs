//! Text on a terminal: escaped, measured in columns, shortened and wrapped.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

use crate::model::escape;

/// Replaces the middle of a shortened text.
const ELLIPSIS: &str = "…";

/// Escapes control characters and invisible ones, which would make two different names look the same, in text chosen by
/// others.
pub fn escape_invisible(text: &str) -> Cow<'_, str> {
    // No early exit, so that the compiler vectorizes the loop.
    if text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in escape(text).chars() {
        if is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Escapes a whitespace character at the end of escaped text, where a table would hide it.
pub fn escape_trailing_space(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.char_indices().next_back() {
        Some((index, last)) if last.is_whitespace() => {
            Cow::Owned(format!("{}{}", &text[..index], last.escape_unicode()))
        }
        _ => text,
    }
}

/// Joiners, selectors, tags and zero-width spaces: mostly Unicode's Default_Ignorable_Code_Point.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The width of escaped text in columns.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(columns).sum() }
}

fn columns(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// Shortens text to `max` columns by replacing its middle with an ellipsis: addresses and processes differ at the start and
/// the end.
pub fn ellipsize(text: String, max: usize) -> String {
    if width(&text) <= max {
        return text;
    }
    let Some(available) = max.checked_sub(width(ELLIPSIS)) else { return String::new() };
    let head = head(&text, available.div_ceil(2));
    let tail = tail(&text, available - width(head));
    format!("{head}{ELLIPSIS}{tail}")
}

/// The longest prefix of at most `max` columns.
fn head(text: &str, max: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += columns(*c);
        taken > max
    });
    &text[..end.map_or(text.len(), |(index, _)| index)]
}

/// The longest suffix of at most `max` columns.
fn tail(text: &str, max: usize) -> &str {
    let mut taken = 0;
    let start = text.char_indices().rev().find(|(_, c)| {
        taken += columns(*c);
        taken > max
    });
    &text[start.map_or(0, |(index, c)| index + c.len_utf8())..]
}

/// Wraps text into lines of at most `room` columns, the first of at most `first`. Longer words are broken.
pub fn wrap(text: &str, first: usize, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut left = first;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("at least one line");
        let gap = usize::from(!line.is_empty());
        if width(word) + gap <= left {
            left -= width(word) + gap;
            line.push_str(&" "[..gap]);
            line.push_str(word);
            continue;
        }
        let mut rest = word;
        // An empty first line that is narrower than the others stays empty.
        let fresh = line.is_empty() && left >= room;
        if !fresh {
            lines.push(String::new());
        }
        while width(rest) > room {
            let piece = head(rest, room.max(MAX_CHAR_WIDTH));
            lines.last_mut().expect("at least one line").push_str(piece);
            lines.push(String::new());
            rest = &rest[piece.len()..];
        }
        lines.last_mut().expect("at least one line").push_str(rest);
        left = room.saturating_sub(width(rest));
    }
    lines
}

/// The width of the widest character. A line holds one even if it is narrower.
const MAX_CHAR_WIDTH: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        assert_eq!(escape_invisible("nginx: wörker"), "nginx: wörker");
        assert_eq!(
            escape_invisible("a\u{200b}b\u{feff}\u{1f600}\u{fe0f}"),
            "a\\u{200b}b\\u{feff}😀\\u{fe0f}"
        );
        assert_eq!(escape_invisible("\x1b[31m\n"), "\\u{1b}[31m\\n");
    }

    #[test]
    fn whitespace_at_the_end_is_escaped() {
        assert_eq!(escape_trailing_space("a b".into()), "a b");
        assert_eq!(escape_trailing_space("curl ".into()), "curl\\u{20}");
        assert_eq!(escape_trailing_space("\u{3000}".into()), "\\u{3000}");
        assert_eq!(escape_trailing_space("".into()), "");
    }

    #[test]
    fn the_middle_is_replaced_first() {
        assert_eq!(ellipsize("postgres[12345]".to_owned(), 15), "postgres[12345]");
        assert_eq!(ellipsize("postgres[12345]".to_owned(), 12), "postgr…2345]");
        assert_eq!(ellipsize("数据库服务[7]".to_owned(), 8), "数据…[7]");
        assert_eq!(ellipsize("abc".to_owned(), 1), "…");
        assert_eq!(ellipsize("abc".to_owned(), 0), "");
    }

    #[test]
    fn only_words_that_fit_no_line_are_broken() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("three", 2, 9), ["", "three"]);
        assert_eq!(wrap("a 1234567890 b", 4, 4), ["a", "1234", "5678", "90 b"]);
        assert_eq!(wrap("", 4, 4), [""]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_text_is_lost(text in any::<String>(), first in 0..40_usize, room in 2..40_usize) {
            let text = escape_invisible(&text).into_owned();
            prop_assert!(text.width() <= width(&text));
            prop_assert!(ellipsize(text.clone(), room).width() <= room);
            let lines = wrap(&text, first.min(room), room);
            prop_assert!(lines[0].width() <= first.min(room));
            prop_assert!(lines.iter().all(|line| line.width() <= room), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
