//! `cargo xtask lint`: formatting and clippy.

use crate::command::Line;
use crate::{Outcome, no_arguments};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    Line::cargo("fmt --all --check").run()?;
    Line::cargo("clippy --workspace --all-targets -- -D warnings").run()
}
