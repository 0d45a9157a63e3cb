//! Untrusted text on its way to a terminal.

use std::borrow::Cow;

/// `text` with everything escaped that a terminal would obey or hide: a file name may hold a line break, a colour, or a
/// mark that turns the direction of writing.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_deceptive(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a text with this in it would look other than it is.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen, zero-width characters and direction marks, line and paragraph separators, byte order mark,
            // tags.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_shown() {
        for (text, expected) in [
            ("/etc/passwd", "/etc/passwd"),
            ("/tmp/ä 猫", "/tmp/ä 猫"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\x1b[2Jx", "\\u{1b}[2Jx"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
