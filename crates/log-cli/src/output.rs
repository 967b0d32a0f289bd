//! Standard output, and text that is easy to read there.
//!
//! A closed pipe is no failure: whoever read it has seen enough.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use crate::failure::Failure;

/// Standard output without the line buffer that `std` puts in front of it:
/// every write is one system call.
pub(crate) fn unbuffered() -> Result<File, Failure> {
    let stdout = io::stdout();
    let duplicate = stdout.as_fd().try_clone_to_owned();
    duplicate.map(File::from).map_err(|cause| failure(&cause))
}

/// Writes `text` as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    unless_closed(unbuffered()?.write_all(text.as_bytes())).map(|_| ())
}

/// Whether there still is a reader; any other failure of a write is one.
pub(crate) fn unless_closed(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(cause) => Err(failure(&cause)),
    }
}

fn failure(cause: &io::Error) -> Failure {
    Failure::io(&"standard output", "write", cause)
}

/// Lines of a name and a value, the values one below the other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}\n"));
    lines.collect()
}

/// `1 segment`, `2 segments`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// The digits in groups of three: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_one_below_the_other() {
        let text = fields(&[("a", "1".to_owned()), ("long", "22".to_owned())]);
        assert_eq!(text, "a     1\nlong  22\n");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "record"), "1 record");
        assert_eq!(count(0, "record"), "0 records");
        assert_eq!(count(12_345, "record"), "12,345 records");
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let error = |kind| Err(io::Error::from(kind));
        assert_eq!(unless_closed(Ok(())).ok(), Some(true));
        assert_eq!(
            unless_closed(error(ErrorKind::BrokenPipe)).ok(),
            Some(false)
        );
        assert!(unless_closed(error(ErrorKind::StorageFull)).is_err());
    }
}
