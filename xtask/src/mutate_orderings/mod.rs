//! `cargo xtask mutate-orderings`: does every memory ordering matter?
//!
//! Weakens each non-relaxed ordering and each fence of log-core in turn, in a
//! scratch copy of the workspace, and runs the models (then the ordinary
//! tests) until one fails. An ordering that can be weaker with nothing failing
//! is either too strong, or not tested, or beyond what the checkers see; it
//! must be listed in `crates/log-core/orderings-allowed.txt` with a reason.
//!
//! Read next: `mutation.rs` (what is weakened), `trial.rs` and `scratch.rs`
//! (how it is tried), `allowed.rs` (the list).

mod allowed;
mod mutation;
mod scratch;
mod trial;

use std::path::Path;
use std::time::Instant;

use self::allowed::Allowed;
use self::mutation::{Mutation, fence_helpers, mutations};
use self::trial::{Trial, Verdict};
use crate::metadata::{self, Package};
use crate::{Outcome, none_left, source, workspace};

/// The crate that has orderings; the others build on its types.
const CRATE: &str = "log-core";
/// The file that defines the fences rather than using them.
const SYNC: &str = "src/sync.rs";
const ALLOWED: &str = "orderings-allowed.txt";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let packages = metadata::packages()?;
    let package = packages.iter().find(|package| package.name == CRATE);
    let package = package.ok_or(format!("no package {CRATE}"))?;
    let allowed_file = package.folder.join(ALLOWED);
    let allowed = Allowed::parse(&workspace::read(&allowed_file)?).map_err(|problem| {
        format!(
            "{}: {problem}",
            workspace::relative(&allowed_file).display()
        )
    })?;
    let mutations = chosen(package, &options)?;
    if options.list {
        for mutation in &mutations {
            println!("line {}: {}", mutation.line, mutation.place());
        }
        return Ok(());
    }
    let trial = Trial::begin(&packages, package, options.jobs)?;
    let mut verdicts = Vec::new();
    for (at, mutation) in mutations.iter().enumerate() {
        let start = Instant::now();
        let verdict = trial.judge(mutation)?;
        let (count, seconds) = (mutations.len(), start.elapsed().as_secs());
        let (line, place) = (mutation.line, mutation.place());
        eprintln!(
            "[{}/{count}] {seconds} s, line {line}: {place}: {verdict:?}",
            at + 1
        );
        verdicts.push((mutation, verdict));
    }
    conclude(&verdicts, &allowed, options.file.is_none())
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// Only files whose path contains this.
    file: Option<String>,
    /// How many tests run at a time.
    jobs: usize,
    /// Only show what would be tried.
    list: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut options = Self {
            file: None,
            jobs: 2,
            list: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--list" => options.list = true,
                "--file" => options.file = Some(value()?.clone()),
                "--jobs" => {
                    let jobs = value()?;
                    let parsed = jobs.parse().ok().filter(|jobs| *jobs > 0);
                    options.jobs = parsed.ok_or(format!("--jobs: `{jobs}` is not a count"))?;
                }
                other => return Err(format!("no option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// The mutations of the crate that the options ask for.
fn chosen(package: &Package, options: &Options) -> Outcome<Vec<Mutation>> {
    let sources = source::of_package(package)?;
    let is_sync = |path: &Path| package.folder.join(SYNC).ends_with(path);
    let helpers: Vec<_> = sources
        .iter()
        .filter(|source| is_sync(&source.path))
        .flat_map(fence_helpers)
        .collect();
    let is_chosen = |path: &Path| {
        let asked = options.file.as_deref().unwrap_or_default();
        !is_sync(path) && path.to_string_lossy().contains(asked)
    };
    let chosen = sources.iter().filter(|source| is_chosen(&source.path));
    let found: Vec<_> = chosen
        .flat_map(|source| mutations(source, &helpers))
        .collect();
    if found.is_empty() {
        Err("nothing to weaken".to_owned())
    } else {
        Ok(found)
    }
}

/// Prints the table, and fails on what nothing catches and nobody excuses.
fn conclude(verdicts: &[(&Mutation, Verdict)], allowed: &Allowed, is_complete: bool) -> Outcome {
    println!("| file | function | call | orderings | what notices |");
    println!("|---|---|---|---|---|");
    let mut problems = Vec::new();
    let mut survivors = Vec::new();
    for (mutation, verdict) in verdicts {
        let excuse = allowed.reason(mutation);
        let notices = match (verdict, excuse) {
            (Verdict::CaughtBy(test), _) => test.clone(),
            (_, Some(reason)) => format!("nothing: {reason}"),
            (Verdict::Survived, None) => "nothing".to_owned(),
            (Verdict::Undecided(tests), None) => format!("given up: {}", tests.join(", ")),
        };
        println!("| {} | {notices} |", mutation.place());
        if !matches!(verdict, Verdict::CaughtBy(_)) {
            survivors.push(*mutation);
            if excuse.is_none() {
                problems.push(format!("nothing notices {}", mutation.place()));
            }
        }
    }
    if is_complete {
        let stale = allowed.stale(&survivors);
        problems.extend(
            stale
                .iter()
                .map(|entry| format!("{ALLOWED} excuses nothing at {entry}")),
        );
    }
    println!(
        "{} weakened, {} noticed",
        verdicts.len(),
        verdicts.len() - survivors.len()
    );
    none_left(&problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn parse(arguments: &[&str]) -> Outcome<Options> {
        Options::parse(
            &arguments
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn options_choose_a_file_and_a_number_of_jobs() {
        let options = parse(&["--file", "pins.rs", "--jobs", "1"]).unwrap();
        assert_eq!(
            options,
            Options {
                file: Some("pins.rs".to_owned()),
                jobs: 1,
                list: false
            }
        );
        for wrong in [&["--jobs", "0"][..], &["--jobs"], &["--file"], &["pins.rs"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_survivor_fails_the_run_unless_it_is_excused() {
        let text = "fn f() { x.load(Acquire) }".to_owned();
        let found = mutations(&Source::parse(Path::new("src/a.rs"), text, false), &[]);
        let none = Allowed::parse("").unwrap();
        let excused =
            Allowed::parse("src/a.rs | f | x.load | Acquire -> Relaxed | a lock orders it")
                .unwrap();
        let with = |verdict: Verdict, allowed: &Allowed, is_complete| {
            conclude(&[(&found[0], verdict)], allowed, is_complete)
        };
        let caught = || Verdict::CaughtBy("a_test".to_owned());
        assert!(with(caught(), &none, true).is_ok());
        assert!(with(Verdict::Survived, &none, true).is_err());
        assert!(with(Verdict::Undecided(vec!["slow".to_owned()]), &none, true).is_err());
        assert!(with(Verdict::Survived, &excused, true).is_ok());
        assert!(
            with(caught(), &excused, true).is_err(),
            "the excuse is stale"
        );
        assert!(
            with(caught(), &excused, false).is_ok(),
            "a partial run cannot tell"
        );
    }
}
