//! `cargo xtask shuttle`: random schedules, for scenarios that are too large
//! to explore one by one. Each test states how many it runs.

use crate::models::Checker;
use crate::{Outcome, no_arguments};

/// The schedules follow from the seed, so that every run is the same. To try
/// others, run the printed lines with another one.
const SHUTTLE: Checker = Checker {
    name: "shuttle",
    cfg: "log_shuttle",
    environment: &[("SHUTTLE_RANDOM_SEED", "1")],
};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    SHUTTLE.run_all()
}
