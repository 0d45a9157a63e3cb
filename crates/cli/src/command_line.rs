//! The command line of this run, made again with more flags, to be copied.

use std::ffi::OsString;

use buntime_policy::shell_word;

use crate::escape::is_deceptive;

/// What follows the command's name, each word as a shell reads it.
#[derive(Debug)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// That of this process.
    pub fn own() -> Option<Self> {
        Self::of(std::env::args_os().skip(1))
    }

    /// `None` where a word of it cannot be shown as it is.
    fn of(words: impl Iterator<Item = OsString>) -> Option<Self> {
        let shown = |word: OsString| {
            let word = word.into_string().ok().filter(|word| !word.contains(is_deceptive))?;
            Some(shell_word(&word).into_owned())
        };
        words.map(shown).collect::<Option<Vec<_>>>().filter(|words| !words.is_empty()).map(Self)
    }

    /// The same with these flags, which are quoted already, behind the subcommand.
    pub fn with<'a>(&'a self, flags: impl Iterator<Item = &'a str>) -> String {
        let (subcommand, rest) = self.0.split_at(1);
        let words = subcommand.iter().map(String::as_str).chain(flags).chain(rest.iter().map(String::as_str));
        std::iter::once("python-ipc-bun").chain(words).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(words: &[&str], flags: &[&str]) -> Option<String> {
        Some(CommandLine::of(words.iter().map(OsString::from))?.with(flags.iter().copied()))
    }

    #[test]
    fn flags_come_behind_the_subcommand_and_words_are_quoted() {
        let made = with(&["run", "--allow-env=A,B", "my script.py", "it's", "$HOME", ""], &["--allow-read=/x"]);
        let expected = r"python-ipc-bun run --allow-read=/x --allow-env=A,B 'my script.py' 'it'\''s' '$HOME' ''";
        assert_eq!(made.as_deref(), Some(expected));
    }

    #[test]
    fn what_would_look_other_than_it_is_is_not_shown() {
        for word in ["a\nb", "gpj.\u{202e}exe", "\x1b[2J"] {
            assert_eq!(with(&["run", word], &[]), None, "{word:?}");
        }
    }
}
