//! `cargo xtask fuzz`: each fuzz target for some seconds.
//!
//! libFuzzer needs a nightly compiler and cargo-fuzz. Nothing is installed
//! here: if one is missing this says how to get it. What the targets do runs on
//! any compiler too, over the seeds, as a test of the crate `log-fuzz`.

use std::time::Duration;

use crate::command::Line;
use crate::{Outcome, workspace};

/// For each target, if nothing else is asked for.
const SECONDS: u64 = 60;

/// For each target in CI.
const CI_SECONDS: &str = "4";

/// An input that takes longer is a finding.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let all = targets()?;
    let plan = Plan::read(arguments, &all)?;
    if let Some(missing) = missing() {
        return Err(missing);
    }
    for target in &plan.targets {
        plan.line(target).run()?;
    }
    Ok(())
}

pub(crate) fn run_in_ci() -> Outcome {
    if let Some(missing) = missing() {
        eprintln!("skipped: {missing}");
        return Ok(());
    }
    // The same inputs each time: what CI says of a change is about the change.
    run(&["--seconds", CI_SECONDS, "--seed", "1"].map(str::to_owned))
}

/// The targets, by the names of their files.
fn targets() -> Outcome<Vec<String>> {
    let files = workspace::rust_files(&workspace::root().join("fuzz/targets"))?;
    let stem = |file: &std::path::PathBuf| Some(file.file_stem()?.to_str()?.to_owned());
    Ok(files.iter().filter_map(stem).collect())
}

/// What is not there, and how to get it.
fn missing() -> Option<String> {
    let works = |line: Line| line.command().output().ok().filter(|o| o.status.success());
    let toolchains = works(Line::new("rustup").arguments(["toolchain", "list"]));
    let listed = toolchains.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !listed.is_some_and(|listed| listed.lines().any(|line| line.starts_with("nightly"))) {
        return Some("no nightly compiler; `rustup toolchain install nightly` gets it".to_owned());
    }
    if works(Line::cargo("fuzz --version")).is_none() {
        return Some("no cargo-fuzz; `cargo install cargo-fuzz --locked` gets it".to_owned());
    }
    None
}

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    seconds: u64,
    /// Where its random numbers begin; another place each time if `None`.
    seed: Option<u32>,
    targets: Vec<String>,
}

impl Plan {
    fn read(arguments: &[String], all: &[String]) -> Outcome<Self> {
        let mut plan = Self {
            seconds: SECONDS,
            seed: None,
            targets: all.to_vec(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--seconds" {
                let number = arguments.next().and_then(|number| number.parse().ok());
                let positive = number.filter(|seconds| *seconds > 0);
                plan.seconds = positive.ok_or("--seconds takes a whole number above zero")?;
            } else if argument == "--seed" {
                let number = arguments.next().and_then(|number| number.parse().ok());
                plan.seed = Some(number.ok_or("--seed takes a whole number")?);
            } else if all.contains(argument) {
                plan.targets = vec![argument.clone()];
            } else {
                let known = all.join(", ");
                return Err(format!("no target `{argument}`; there are {known}"));
            }
        }
        Ok(plan)
    }

    /// What is found goes to `fuzz/corpus`, which is nobody's but this
    /// machine's; the seeds are only read.
    fn line(&self, target: &str) -> Line {
        let (seconds, input_seconds) = (self.seconds, INPUT_TIME_MAX.as_secs());
        // Zero is libFuzzer's word for "another one each time".
        let seed = self.seed.unwrap_or_default();
        // By the shell, because only the `cargo` that it finds understands
        // `+nightly`.
        Line::shell(&format!(
            "mkdir -p fuzz/corpus/{target} && cargo +nightly fuzz run {target} \
             fuzz/corpus/{target} fuzz/corpus-seeds/{target} -- \
             -dict=fuzz/dictionaries/{target}.txt -max_total_time={seconds} \
             -seed={seed} -timeout={input_seconds} -print_final_stats=1"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Outcome<Plan> {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        Plan::read(&arguments, &targets()?)
    }

    #[test]
    fn every_target_runs_unless_one_is_named() {
        let all = targets().unwrap();
        assert!(
            all.len() > 1 && all.contains(&"recovery".to_owned()),
            "{all:?}"
        );
        assert_eq!(plan(&[]).unwrap().targets, all);
        let one = plan(&["recovery", "--seconds", "7"]).unwrap();
        assert_eq!((one.seconds, one.targets), (7, vec!["recovery".to_owned()]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for arguments in [
            &["recover"][..],
            &["--seconds"],
            &["--seconds", "0"],
            &["--seed", "x"],
            &["-s", "7"],
        ] {
            assert!(plan(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn each_target_has_seeds_and_a_dictionary() {
        for target in targets().unwrap() {
            let fuzz = workspace::root().join("fuzz");
            assert!(fuzz.join("corpus-seeds").join(&target).is_dir(), "{target}");
            assert!(
                fuzz.join(format!("dictionaries/{target}.txt")).is_file(),
                "{target}"
            );
        }
    }
}
