//! `cargo xtask doc`: the public documentation builds without a warning.

use crate::command::Line;
use crate::{Outcome, no_arguments};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    Line::cargo("doc --workspace --no-deps")
        .environment("RUSTDOCFLAGS", "-D warnings")
        .run()
}
