//! Text by the columns that it takes on a terminal: measured, cut and wrapped.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

use crate::model::escape;

/// Stands for what was cut out.
const ELLIPSIS: &str = "…";

/// Text that someone else chose, with everything escaped that does not show: control characters, and
/// those that take no room and would let two different names look alike.
pub fn safe(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
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

/// Safe text with a blank at its end escaped: in a table nobody would see that one.
pub fn shut(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.char_indices().next_back() {
        Some((place, blank)) if blank.is_whitespace() => {
            Cow::Owned(format!("{}{}", &text[..place], blank.escape_unicode()))
        }
        _ => text,
    }
}

/// Joiners, selectors, tags and spaces without width (Unicode's Default_Ignorable_Code_Point, for the
/// most part).
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

/// The columns that safe text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(columns).sum() }
}

fn columns(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// The text in so much room, without its middle where it is too long: what tells one address or
/// process from another is at the ends.
pub fn cut(text: String, room: usize) -> String {
    if width(&text) <= room {
        return text;
    }
    let Some(kept) = room.checked_sub(1) else { return String::new() };
    let head = head(&text, kept.div_ceil(2));
    let tail = tail(&text, kept - width(head));
    format!("{head}{ELLIPSIS}{tail}")
}

/// As much of the beginning as there is room for.
fn head(text: &str, room: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += columns(*c);
        taken > room
    });
    &text[..end.map_or(text.len(), |(place, _)| place)]
}

/// As much of the end as there is room for.
fn tail(text: &str, room: usize) -> &str {
    let mut taken = 0;
    let begin = text.char_indices().rev().find(|(_, c)| {
        taken += columns(*c);
        taken > room
    });
    &text[begin.map_or(0, |(place, c)| place + c.len_utf8())..]
}

/// Lines no wider than `room`, the first no wider than `first`; words longer than that are broken.
pub fn wrap(text: &str, first: usize, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut left = first;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("there is always a line");
        let gap = usize::from(!line.is_empty());
        if width(word) + gap <= left {
            left -= width(word) + gap;
            line.push_str(&" "[..gap]);
            line.push_str(word);
            continue;
        }
        let mut rest = word;
        // An empty line that is narrower than the others is left to be.
        let fresh = line.is_empty() && left >= room;
        if !fresh {
            lines.push(String::new());
        }
        while width(rest) > room {
            let piece = head(rest, room.max(WIDEST));
            lines.last_mut().expect("there is always a line").push_str(piece);
            lines.push(String::new());
            rest = &rest[piece.len()..];
        }
        lines.last_mut().expect("there is always a line").push_str(rest);
        left = room.saturating_sub(width(rest));
    }
    lines
}

/// The widest character: with less room than that, a line holds one nevertheless.
const WIDEST: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn what_does_not_show_is_shown() {
        assert_eq!(safe("nginx: wörker"), "nginx: wörker");
        assert_eq!(safe("a\u{200b}b\u{feff}\u{1f600}\u{fe0f}"), "a\\u{200b}b\\u{feff}😀\\u{fe0f}");
        assert_eq!(safe("\x1b[31m\n"), "\\u{1b}[31m\\n");
    }

    #[test]
    fn a_blank_at_the_end_is_shown() {
        assert_eq!(shut("a b".into()), "a b");
        assert_eq!(shut("curl ".into()), "curl\\u{20}");
        assert_eq!(shut("\u{3000}".into()), "\\u{3000}");
        assert_eq!(shut("".into()), "");
    }

    #[test]
    fn the_middle_goes_first() {
        assert_eq!(cut("postgres[12345]".to_owned(), 15), "postgres[12345]");
        assert_eq!(cut("postgres[12345]".to_owned(), 12), "postgr…2345]");
        assert_eq!(cut("数据库服务[7]".to_owned(), 8), "数据…[7]");
        assert_eq!(cut("abc".to_owned(), 1), "…");
        assert_eq!(cut("abc".to_owned(), 0), "");
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("three", 2, 9), ["", "three"]);
        assert_eq!(wrap("a 1234567890 b", 4, 4), ["a", "1234", "5678", "90 b"]);
        assert_eq!(wrap("", 4, 4), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_room(text in any::<String>(), first in 0..40_usize, room in 2..40_usize) {
            let text = safe(&text).into_owned();
            prop_assert!(text.width() <= width(&text));
            prop_assert!(cut(text.clone(), room).width() <= room);
            let lines = wrap(&text, first.min(room), room);
            prop_assert!(lines[0].width() <= first.min(room));
            prop_assert!(lines.iter().all(|line| line.width() <= room), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
