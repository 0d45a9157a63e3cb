//! The one error type that leaves this crate. Its `code` is stable, its message names what was found.

use std::fmt;

/// What kind of `SandboxError` JavaScript makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A policy, a flag, an option or a configuration that cannot be used.
    Policy,
    /// The sandbox could not be built, or its worker could not be started.
    Setup,
    /// A call that does not fit the state, or an internal failure.
    Other,
}

/// A failure of ours. User code that fails is an event or a result, never this.
#[derive(Clone, Debug)]
pub struct Error {
    /// Who can mend it.
    pub class: ErrorClass,
    /// Stable, `ERR_BUNTIME_…`.
    pub code: &'static str,
    /// Lower case, no final period, names the value and what was expected.
    pub message: String,
    /// How to mend it, where that is known.
    pub hint: Option<String>,
}

impl Error {
    /// An error of [`ErrorClass::Policy`].
    pub fn policy(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Policy, code, message)
    }

    /// An error of [`ErrorClass::Setup`].
    pub fn setup(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Setup, code, message)
    }

    /// An error of [`ErrorClass::Other`].
    pub fn other(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Other, code, message)
    }

    fn new(class: ErrorClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), hint: None }
    }

    /// The same, with the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
