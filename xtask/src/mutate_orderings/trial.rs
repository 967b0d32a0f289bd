//! One mutation on trial: built in the copy, and run until a test notices.

use std::path::Path;
use std::time::Duration;

use crate::command::Line;
use crate::loom::LOOM;
use crate::metadata::Package;
use crate::mutate_orderings::mutation::Mutation;
use crate::mutate_orderings::scratch::{self, Ended, Scratch, Test};
use crate::{Outcome, workspace};

/// The copy of the workspace and what is run on it.
pub(crate) struct Trial {
    scratch: Scratch,
    suites: Vec<Suite>,
    jobs: usize,
}

/// What became of a mutation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    CaughtBy(String),
    Survived,
    /// No test failed, but these were given up.
    Undecided(Vec<String>),
}

impl Trial {
    /// Copies the workspace, and runs every test once as it is: all must pass,
    /// and the time each took orders them and bounds it later.
    pub(crate) fn begin(packages: &[Package], package: &Package, jobs: usize) -> Outcome<Self> {
        let scratch = Scratch::refreshed()?;
        let mut suites = suites(&scratch, packages, package);
        for suite in &mut suites {
            suite.measure(jobs)?;
        }
        Ok(Self {
            scratch,
            suites,
            jobs,
        })
    }

    pub(crate) fn judge(&self, mutation: &Mutation) -> Outcome<Verdict> {
        self.scratch.write(&mutation.path, &mutation.mutated())?;
        let verdict = self.judge_scratch();
        self.scratch.write(&mutation.path, &mutation.original)?;
        verdict.map_err(|problem| format!("{}: {problem}", mutation.place()))
    }

    fn judge_scratch(&self) -> Outcome<Verdict> {
        let mut given_up = Vec::new();
        for suite in &self.suites {
            suite.rebuild()?;
            let results =
                scratch::run_until_one_fails(&suite.tests, self.jobs, &suite.environment)?;
            let named = |wanted: Ended| {
                let ended = suite.tests.iter().zip(&results);
                let ended = ended.filter(move |(_, (ended, _))| *ended == wanted);
                ended.map(|(test, _)| test.name.clone())
            };
            if let Some(test) = named(Ended::Failed).next() {
                return Ok(Verdict::CaughtBy(test));
            }
            given_up.extend(named(Ended::GivenUp));
        }
        Ok(if given_up.is_empty() {
            Verdict::Survived
        } else {
            Verdict::Undecided(given_up)
        })
    }
}

/// The tests that a mutation must survive, in the order they are tried.
struct Suite {
    /// A `cargo test` line without `--no-run`.
    build: Line,
    /// Which of the tests inside the crate belong to it, by a part of the name.
    in_crate: &'static str,
    environment: Vec<(String, String)>,
    /// Its tests and their limits, from a run without a mutation.
    tests: Vec<Test>,
}

/// The models of the crate, those of the crates above, its ordinary tests.
fn suites(scratch: &Scratch, packages: &[Package], package: &Package) -> Vec<Suite> {
    let manifest = scratch
        .path(Path::new("Cargo.toml"))
        .to_string_lossy()
        .into_owned();
    let folder = workspace::target_dir().join("mutate");
    let suite = |line: Line, package: &Package, in_crate| Suite {
        build: line.arguments(["--manifest-path", &manifest]),
        in_crate,
        environment: test_environment(scratch, package),
        tests: Vec::new(),
    };
    let models = |package: &Package| {
        let mut models = suite(
            LOOM.models(package, &folder.join("loom")),
            package,
            LOOM.name,
        );
        models.environment.extend(LOOM.owned_environment());
        models
    };
    let mut suites = vec![models(package)];
    let above = LOOM
        .packages(packages)
        .into_iter()
        .filter(|above| above.name != package.name);
    suites.extend(above.map(models));
    let ordinary = Line::cargo("test --lib --tests")
        .arguments(["-p", &package.name, "--target-dir"])
        .argument(folder.join("test").to_string_lossy());
    suites.push(suite(ordinary, package, ""));
    suites
}

/// What cargo tells a test about its package, for the copy of the package.
fn test_environment(scratch: &Scratch, package: &Package) -> Vec<(String, String)> {
    let folder = scratch.path(workspace::relative(&package.folder));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        pair("CARGO_MANIFEST_DIR", &folder.to_string_lossy()),
        pair("CARGO_PKG_NAME", &package.name),
    ]
}

impl Suite {
    fn measure(&mut self, jobs: usize) -> Outcome {
        self.build.print();
        let tests = scratch::build(&self.build, self.in_crate)?;
        self.tests = tests.ok_or("the workspace does not compile as it is")?;
        if self.tests.is_empty() {
            return Err("this finds no test, so nothing could be noticed".to_owned());
        }
        let results = scratch::run_until_one_fails(&self.tests, jobs, &self.environment)?;
        let mut timed: Vec<_> = std::mem::take(&mut self.tests)
            .into_iter()
            .zip(results)
            .collect();
        if let Some((test, _)) = timed.iter().find(|(_, (ended, _))| *ended == Ended::Failed) {
            return Err(format!("{} fails before anything is weakened", test.name));
        }
        timed.sort_by_key(|(_, (_, took))| *took);
        // A weaker ordering gives a checker more to explore.
        let limit = |took: Duration| took * 20 + Duration::from_secs(60);
        for (test, (_, took)) in &mut timed {
            test.limit = limit(*took);
        }
        self.tests = timed.into_iter().map(|(test, _)| test).collect();
        Ok(())
    }

    /// Builds the suite with the mutation in place.
    fn rebuild(&self) -> Outcome {
        let tests = scratch::build(&self.build, self.in_crate)?;
        tests
            .map(drop)
            .ok_or_else(|| "does not compile with this change".to_owned())
    }
}
