//! A value with its cache lines to itself.

use std::ops::Deref;

/// Keeps what changes often away from what every append looks at: two lines of
/// 64 bytes, because processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct OwnLines<T>(pub(crate) T);

impl<T> Deref for OwnLines<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
