//! `cargo xtask ci`: what CI runs, in its order; `.ci/run` calls nothing else.
//!
//! The README's own commands are part of it, and its test command comes last,
//! so that the run ends with what was tested.

use std::time::{Duration, Instant};

use crate::readme::QuickStart;
use crate::{Outcome, no_arguments};

struct Step {
    /// As it would be typed behind `cargo xtask`.
    name: &'static str,
    run: fn() -> Outcome,
}

/// What runs before the tests. Cheap checks come first.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    Step { name: "lint",            run: || crate::lint::run(&[]) },
    Step { name: "doc",             run: || crate::doc::run(&[]) },
    Step { name: "layers",          run: || crate::layers::run(&[]) },
    Step { name: "invariants",      run: || crate::invariants::run(&[]) },
    Step { name: "api",             run: || crate::api::run(&[]) },
    Step { name: "loom",            run: || crate::loom::run(&[]) },
    Step { name: "shuttle",         run: || crate::shuttle::run(&[]) },
    Step { name: "crash",           run: crate::crash::run_in_ci },
    Step { name: "fuzz",            run: crate::fuzz::run_in_ci },
    Step { name: "readme main-job", run: || QuickStart::read()?.run_main_job() },
    Step { name: "round-trip",      run: || crate::round_trip::run(&[]) },
];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    let mut took = Vec::new();
    for step in STEPS {
        took.push((step.name, timed(step)?));
    }
    for (name, time) in &took {
        eprintln!("{name:<16} {:>4} s", time.as_secs());
    }
    let counted = announced("readme test", || QuickStart::read()?.run_tests())?;
    println!("{counted}");
    Ok(())
}

fn timed(step: &Step) -> Outcome<Duration> {
    let start = Instant::now();
    announced(step.name, step.run)?;
    Ok(start.elapsed())
}

fn announced<T>(name: &str, step: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    eprintln!("\n== cargo xtask {name}");
    step().map_err(|problem| format!("{name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_run_by_the_name_it_prints() {
        for step in STEPS {
            let task = step.name.split(' ').next();
            assert!(
                crate::TASKS.iter().any(|known| Some(known.name) == task),
                "{}",
                step.name
            );
        }
    }
}
