//! A value with its cache lines to itself.

/// Keeps its value away from its neighbours' cache lines: two lines of 64
/// bytes, because processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Padded<T>(pub(crate) T);
