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

/// JSON of one line, with everything written as an escape that a terminal would obey or hide, and every character that
/// some reader of lines takes for a line's end.
pub fn json_line(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    let mut line = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        // All of them are in a string, where an escape stands for the character: JSON has none outside.
        if is_deceptive(c) {
            line.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    Ok(line)
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

    #[test]
    fn json_of_one_line_says_the_same_and_hides_nothing() {
        let hostile = "a\nb\"},{\u{2028}\u{85}\u{202e}\u{e0041}\x7f\x1b[2J ä 猫";
        let line = json_line(&hostile).unwrap();
        assert!(line.ends_with('\n') && !line.trim_end_matches('\n').contains(is_deceptive), "{line:?}");
        assert!(line.contains("ä 猫"), "{line:?}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), hostile);
    }
}
