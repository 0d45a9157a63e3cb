//! What can be wrong with a policy, said so that it can be found and fixed.

/// A policy, flag or variable that cannot be used, with its place and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The document is not JSON.
    #[error("{document}:{line}:{column}: {message}")]
    Syntax {
        /// Name of the document, usually its file.
        document: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the JSON parser objects to.
        message: String,
    },
    /// The document is JSON, but not a policy.
    #[error("{}: {problem}", locate(document, path))]
    Invalid {
        /// Name of the document, usually its file.
        document: String,
        /// JSON path such as `fs.rules[2].action`; empty for the document itself.
        path: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A flag or a `POD_*` variable has a value that means nothing.
    #[error("{flag}: {problem}")]
    Flag {
        /// The flag or variable as the user writes it: `--allow-read`, `POD_ALLOW_READ`.
        flag: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A question that cannot be decided, such as one about a relative path.
    #[error("{kind} {target:?}: {problem}")]
    Query {
        /// The permission asked for.
        kind: crate::PermissionKind,
        /// The target as it was given.
        target: String,
        /// What was expected.
        problem: String,
    },
}

/// Joins a document's name and a JSON path inside it, the one spelling used in errors and origins.
pub(crate) fn locate(document: &str, path: &str) -> String {
    if path.is_empty() { document.to_owned() } else { format!("{document}: {path}") }
}
