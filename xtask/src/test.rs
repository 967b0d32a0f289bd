//! `cargo xtask test`: unit, integration and doc tests.
//!
//! `cargo test --workspace` runs all three kinds and leaves the benches alone.
//! What it prints is also counted, so that a run in which no test ran, or in
//! which none was left after a filter, does not pass for a success.

use crate::Outcome;
use crate::command::Line;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let line = Line::cargo("test --workspace").arguments(arguments);
    let counted = run_counted(&line)?;
    println!("{counted}");
    counted.some()
}

/// Tests that passed and failed, over all test binaries of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counted {
    /// Adds what one line of output says, if it is libtest's summary of one
    /// binary.
    fn add(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |unit: &str| {
            let before = summary.split(unit).next().unwrap_or_default();
            before
                .split_whitespace()
                .last()
                .and_then(|number| number.parse::<u64>().ok())
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
    }

    /// An error if nothing was tested.
    pub(crate) fn some(self) -> Outcome {
        match self.passed {
            0 => Err("no test ran".to_owned()),
            _ => Ok(()),
        }
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a `cargo test` line and counts its tests.
pub(crate) fn run_counted(line: &Line) -> Outcome<Counted> {
    let mut counted = Counted::default();
    line.run_watched(|output| counted.add(output))?;
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_all_binaries_add_up() {
        let mut counted = Counted::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test a_test ... ok",
            "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.20s",
        ] {
            counted.add(line);
        }
        assert_eq!(
            counted,
            Counted {
                passed: 15,
                failed: 2
            }
        );
        assert_eq!(counted.to_string(), "15 passed, 2 failed");
    }

    #[test]
    fn a_run_without_tests_is_not_a_success() {
        assert!(Counted::default().some().is_err());
        assert!(
            Counted {
                passed: 1,
                failed: 0
            }
            .some()
            .is_ok()
        );
    }
}
