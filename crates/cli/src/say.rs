//! Our own lines on stderr, apart from the script's by their prefix. That nobody can read them is no reason to fail.

use std::io;

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anstyle::{AnsiColor, Style};

use crate::escape::escape;
use crate::fd;

const PREFIX: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// What went wrong, and how to mend it.
pub fn error(message: &str, hint: Option<&str>) {
    let mut text = format!("{ERROR}python-ipc-bun:{ERROR:#} {}\n", escape_lines(message));
    if let Some(hint) = hint {
        text += &format!("  {HINT}hint:{HINT:#} {}\n", escape_lines(hint));
    }
    styled(&text);
}

/// Something to know before the script's output is trusted.
pub fn warning(message: &str) {
    styled(&format!("{PREFIX}python-ipc-bun:{PREFIX:#} {WARNING}warning:{WARNING:#} {}\n", escape(message)));
}

/// Something that was asked for.
pub fn note(message: &str) {
    styled(&format!("{PREFIX}python-ipc-bun:{PREFIX:#} {}\n", escape(message)));
}

/// Writes text with styles in it, with them only where they are wanted.
pub fn styled(text: &str) {
    // In one write, so that no line of the script's falls in between. `choice` knows NO_COLOR, CLICOLOR and TERM.
    let _ = if AutoStream::choice(&io::stderr()) == ColorChoice::Never {
        fd::write_all(io::stderr(), strip_str(text).to_string().as_bytes())
    } else {
        fd::write_all(io::stderr(), text.as_bytes())
    };
}

/// As [`escape`], but with the line breaks that our own messages have.
fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(escape).collect();
    lines.join("\n  ")
}
