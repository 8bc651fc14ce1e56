//! What is wrong with a scenario's text, and where.

use thiserror::Error;

/// A mistake in a scenario: nothing of it was run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ScriptError {
    /// The file, or the shipped scenario, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what may stand there.
    pub message: String,
}

/// A mistake in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    pub(super) column: usize,
    pub(super) message: String,
}

impl ParseError {
    pub(super) fn at(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }
}
