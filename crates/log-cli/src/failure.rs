//! How a command ends: one exit code, and at most one line on stderr.
//!
//! | code | says |
//! |---|---|
//! | 0 | done; for `verify`: sound |
//! | 1 | `verify` found damage |
//! | 2 | could not be done; the line on stderr says why, and what to do |

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use log_facade::{CommitError, OpenError, ReadError, engine};

/// What a command that could do its work has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, and nothing is wrong.
    Fine,
    /// Done, and the log is damaged.
    DamageFound,
}

/// Why a command could not do its work: the file, the cause, what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A call on something that has a name, refused by the operating system.
    pub(crate) fn io(name: &dyn fmt::Display, action: &str, cause: &io::Error) -> Self {
        Self(format!("{name}: cannot {action}: {cause}"))
    }

    /// The log at `dir` could not be opened.
    pub(crate) fn open(dir: &Path, error: &OpenError) -> Self {
        Self(match error {
            OpenError::Engine(engine::OpenError::NoLog { .. }) => {
                format!(
                    "{error}; `strata ingest FILE --log {}` makes one",
                    dir.display()
                )
            }
            _ => error.to_string(),
        })
    }

    /// A record of the log at `dir` could not be read.
    pub(crate) fn read(dir: &Path, error: &ReadError) -> Self {
        Self(match error {
            ReadError::Truncated { requested, first } => format!(
                "{}: record {requested} is no longer in the log, which begins at {first}; use `--from {first}` or a later one",
                dir.display()
            ),
            _ => error.to_string(),
        })
    }

    /// The same, with something to add.
    #[must_use]
    pub(crate) fn and(self, more: impl fmt::Display) -> Self {
        Self(format!("{}; {more}", self.0))
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Failure {
    /// On one line, whatever a file name or a cause holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

/// Reports how the command `name` ended.
pub(crate) fn exit_code(name: &str, outcome: Result<Verdict, Failure>) -> ExitCode {
    match outcome {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::DamageFound) => ExitCode::from(1),
        Err(failure) => could_not(&format!("{name}: {failure}")),
    }
}

/// Something that the user should know, and that is no failure.
pub(crate) fn note(name: &str, message: impl Into<String>) {
    say(&format!("{name}: note: {}", Failure::new(message)));
}

/// What the argument parser has to say: help goes to stdout, a refusal becomes
/// one line.
pub(crate) fn usage(refusal: &clap::Error) -> ExitCode {
    if refusal.exit_code() == 0 || refusal.kind() == HELP_INSTEAD {
        // Nothing is left to be done if even this cannot be printed.
        let _ = refusal.print();
        return ExitCode::from(refusal.exit_code() as u8);
    }
    could_not(&usage_line(&refusal.render().to_string()))
}

const HELP_INSTEAD: clap::error::ErrorKind =
    clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// What comes before the usage, one paragraph behind the other; the help says
/// the rest.
fn usage_line(rendered: &str) -> String {
    let said = rendered.split("Usage:").next().unwrap_or_default();
    let said = said
        .split("For more information")
        .next()
        .unwrap_or_default();
    let paragraphs = said.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let paragraphs: Vec<_> = paragraphs
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    let joined = paragraphs.join("; ");
    let message = joined.strip_prefix("error: ").unwrap_or(&joined);
    format!("{}; see `strata --help`", Failure::new(message))
}

fn could_not(message: &str) -> ExitCode {
    say(message);
    ExitCode::from(2)
}

fn say(message: &str) {
    // If stderr is gone there is nobody to tell; the exit code stays.
    let _ = writeln!(io::stderr(), "strata: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_whatever_the_file_is_called() {
        let failure = Failure::new("a\nb\r\u{1b}[31m: cannot open");
        assert_eq!(failure.to_string(), "a\\nb\\r\\u{1b}[31m: cannot open");
    }

    #[test]
    fn what_the_parser_refuses_becomes_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  \
                        --log <DIR>\n\n  tip: try it\n\nUsage: strata cat --log <DIR>\n\n\
                        For more information, try '--help'.\n";
        assert_eq!(
            usage_line(rendered),
            "the following required arguments were not provided: --log <DIR>; tip: try it; see `strata --help`"
        );
    }
}
