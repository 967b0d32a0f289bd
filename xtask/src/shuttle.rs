//! `cargo xtask shuttle`: random schedules, for scenarios that are too large
//! to explore one by one. Each test states its seed and its number of runs.

use crate::models::Checker;
use crate::{Outcome, no_arguments};

const SHUTTLE: Checker = Checker {
    name: "shuttle",
    cfg: "log_shuttle",
    environment: &[],
};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    SHUTTLE.run_all()
}
