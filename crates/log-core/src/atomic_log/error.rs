//! What can go wrong, by what the caller can do about it.

use std::fmt;

use crate::Lsn;

/// A value that was not appended, and why. Nothing has changed.
pub struct AppendError<T> {
    /// The value, handed back.
    pub value: T,
    /// What was missing.
    pub cause: AppendErrorCause,
}

/// What an append was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendErrorCause {
    /// Memory for one more segment, when every segment there is can still be
    /// seen by somebody. Append again when there is memory, or when readers
    /// have gone on.
    OutOfMemory,
    /// A number: the log has used the last one, and stays as it is for good.
    OutOfNumbers,
}

impl fmt::Display for AppendErrorCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "no memory for another segment",
            Self::OutOfNumbers => "no record number is left",
        })
    }
}

impl std::error::Error for AppendErrorCause {}

impl<T> fmt::Display for AppendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value was not appended: {}", self.cause)
    }
}

impl<T> fmt::Debug for AppendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendError")
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl<T> std::error::Error for AppendError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Values that a reader asked for, or had yet to be given, when retention let
/// go of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first value that is not there any more.
    pub missed_from: Lsn,
    /// The first that is: the log's start.
    pub resumes_at: Lsn,
}

impl Gap {
    /// How many values are missing.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.resumes_at.0 - self.missed_from.0
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records {} up to {} are retained no more",
            self.missed_from, self.resumes_at
        )
    }
}

impl std::error::Error for Gap {}
