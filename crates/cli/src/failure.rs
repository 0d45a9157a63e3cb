//! What ends a run before or instead of the script, and the exit codes that tell such ends apart from the script's own.

use std::fmt::Display;

use buntime_supervisor::Error;

use crate::say;

/// A command line that cannot be used; clap's own code for it.
pub const USAGE: u8 = 2;
/// The sandbox failed, not the script. The codes 125 to 127 are those of `env`, `nohup` and `docker run`.
pub const OURS: u8 = 125;
/// The script is there and cannot be read.
pub const UNREADABLE: u8 = 126;
/// There is no such script.
pub const NOT_FOUND: u8 = 127;

/// The code of a process that a signal ended, as shells count it.
pub fn of_signal(number: i32) -> u8 {
    of_process(128 + number)
}

/// What a parent sees of a status: its low eight bits.
pub fn of_process(status: i32) -> u8 {
    (status & 0xff) as u8
}

/// An end that is not the script's.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure with this exit code. The message is in lower case, with no final period.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Something of the grammar that has no effect yet: refused, never ignored.
    pub fn unsupported(what: impl Display) -> Self {
        Self::new(USAGE, format!("{what} is not supported yet"))
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on stderr.
    pub fn report(&self) {
        say::error(&self.message, self.hint.as_deref());
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.code {
            "ERR_BUNTIME_UNSUPPORTED" => USAGE,
            _ => OURS,
        };
        Self { code, message: error.message, hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(of_process(256), 0);
        assert_eq!(of_process(-1), 255);
        assert_eq!(of_signal(libc::SIGSEGV), 139);
    }

    #[test]
    fn only_what_is_unsupported_is_the_users_mistake() {
        let unsupported = Error::policy("ERR_BUNTIME_UNSUPPORTED", "x is not supported yet");
        assert_eq!(Failure::from(unsupported).code, USAGE);
        assert_eq!(Failure::from(Error::setup("ERR_BUNTIME_SETUP", "x")).code, OURS);
    }
}
