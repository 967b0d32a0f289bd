//! `cargo xtask loom`: every interleaving of the models, up to a bound.

use crate::models::Checker;
use crate::{Outcome, no_arguments};

/// loom explores every schedule in which threads are interrupted, other than
/// where they block, at most three times. Almost all known concurrency bugs
/// need no more than two (Musuvathi and Qadeer, "Iterative Context Bounding",
/// 2007). A model may lower the bound for itself and then says why.
pub(crate) const LOOM: Checker = Checker {
    name: "loom",
    cfg: "log_loom",
    environment: &[("LOOM_MAX_PREEMPTIONS", "3")],
};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    LOOM.run_all()
}
