//! `cargo xtask crash`: so many states after crashes, on a simulated disk.
//!
//! Runs the crash lab of log-wal. Not optimised further than tests are: that
//! is fast enough, and debug assertions stay on.

use crate::Outcome;
use crate::command::Line;

/// How many states CI explores.
const CI_STATES: &str = "10000";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    Line::cargo("run --package log-wal --example crash --")
        .arguments(arguments)
        .run()
}

pub(crate) fn run_in_ci() -> Outcome {
    run(&["--states", CI_STATES].map(str::to_owned))
}
