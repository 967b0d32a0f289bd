//! `cargo xtask <task>`: everything CI does, by the name you would guess.
//!
//! Each task prints the plain command line that it stands for before it runs
//! it, so that nobody needs this program to work here. It depends on next to
//! nothing, because it is compiled before anything else can help.
//!
//! Read next: `command.rs` (how a command is printed and run), then the file
//! of any task.
#![forbid(unsafe_code)]

mod command;
mod markdown;
mod metadata;
mod models;
mod source;
mod workspace;

mod api;
mod bench;
mod ci;
mod crash;
mod doc;
mod fuzz;
mod invariants;
mod layers;
mod lint;
mod loom;
mod mutate_orderings;
mod readme;
mod round_trip;
mod shuttle;
mod test;

use std::process::ExitCode;

/// What a task ends with: nothing to add, or what a person must know.
type Outcome<T = ()> = Result<T, String>;

struct Task {
    name: &'static str,
    arguments: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Outcome,
}

#[rustfmt::skip]
const TASKS: &[Task] = &[
    Task { name: "ci",               arguments: "",                                  what: "what CI runs, in its order",                          run: ci::run },
    Task { name: "test",             arguments: "[CARGO-TEST-ARG..]",                what: "unit, integration and doc tests",                     run: test::run },
    Task { name: "lint",             arguments: "",                                  what: "formatting and clippy, warnings denied",              run: lint::run },
    Task { name: "doc",              arguments: "",                                  what: "rustdoc, warnings denied",                            run: doc::run },
    Task { name: "layers",           arguments: "",                                  what: "no edge skips a layer, unsafe stays where it may be", run: layers::run },
    Task { name: "invariants",       arguments: "",                                  what: "who states, keeps and checks each INV",               run: invariants::run },
    Task { name: "api",              arguments: "",                                  what: "API.md names every public verb, and no other",        run: api::run },
    Task { name: "loom",             arguments: "",                                  what: "every thread schedule of the models, to a bound",     run: loom::run },
    Task { name: "shuttle",          arguments: "",                                  what: "random thread schedules of larger scenarios",         run: shuttle::run },
    Task { name: "crash",            arguments: "[--states N] [--seed S]",           what: "so many states after crashes of log-wal",             run: crash::run },
    Task { name: "fuzz",             arguments: "[--seconds N] [--seed S] [TARGET]",            what: "each fuzz target, or one, for N seconds",             run: fuzz::run },
    Task { name: "mutate-orderings", arguments: "[--file PART] [--jobs N] [--list]", what: "weakens each memory ordering: what notices?",         run: mutate_orderings::run },
    Task { name: "readme",           arguments: "[main-job|test]",                   what: "the README's quick start: show it, or run a part",    run: readme::run },
    Task { name: "round-trip",       arguments: "[FILE..]",                          what: "ingest files, cat them back, compare, verify",        run: round_trip::run },
    Task { name: "bench",            arguments: "[--peers] [FILTER]",                what: "criterion benchmarks, with the peers if asked",       run: bench::run },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprint!("error: there is no task `{name}`\n\n{}", usage());
        return ExitCode::from(2);
    };
    match (task.run)(&arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {}: {problem}", task.name);
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut usage = String::from("cargo xtask TASK\n\n");
    for task in TASKS {
        usage.push_str(&format!("  {:<17} {}\n", task.name, task.what));
        if !task.arguments.is_empty() {
            usage.push_str(&format!("  {:<17} {}\n", "", task.arguments));
        }
    }
    usage
}

/// For tasks that take no arguments: a typo must not pass for a run.
fn no_arguments(arguments: &[String]) -> Outcome {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(format!("takes no arguments, got `{argument}`")),
    }
}

/// Fails with all problems that were found, one a line.
fn none_left(problems: &[String]) -> Outcome {
    match problems {
        [] => Ok(()),
        problems => Err(format!("\n  {}", problems.join("\n  "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_names_are_unique_and_all_shown() {
        for (at, task) in TASKS.iter().enumerate() {
            assert!(TASKS[at + 1..].iter().all(|other| other.name != task.name));
            assert!(usage().contains(&format!("  {} ", task.name)));
        }
    }
}
