//! The models that a schedule checker explores, and how to run them.
//!
//! A model is a test that lives in `tests/<checker>_*.rs`, or in a module of
//! the crate whose path has the checker's name in it. Only those run: under a
//! checker's cfg the crate's atomics work inside models alone, so the ordinary
//! tests must stay out.

use std::path::Path;

use crate::command::Line;
use crate::metadata::{self, Package, Target};
use crate::test::{Counted, run_counted};
use crate::{Outcome, workspace};

/// A schedule checker. All of them share the cargo profile `loom`.
#[derive(Debug)]
pub(crate) struct Checker {
    /// Its crate, the prefix of its test files, and what marks a module path.
    pub(crate) name: &'static str,
    /// What `sync` modules ask for.
    pub(crate) cfg: &'static str,
    /// How far it goes.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

impl Checker {
    /// Runs every model of every package that has some.
    pub(crate) fn run_all(&self) -> Outcome {
        let mut counted = Counted::default();
        for package in self.packages(&metadata::packages()?) {
            for line in self.lines(package) {
                counted += run_counted(&line)?;
            }
        }
        println!("{}: {counted}", self.name);
        counted.some()
    }

    /// The packages that can be built for this checker: they depend on it.
    pub(crate) fn packages<'a>(&self, all: &'a [Package]) -> Vec<&'a Package> {
        let depends = |package: &&Package| {
            package
                .dependencies
                .iter()
                .any(|dependency| dependency.name == self.name)
        };
        all.iter().filter(depends).collect()
    }

    /// The commands that run a package's models: those inside the crate, then
    /// those in `tests/`.
    pub(crate) fn lines(&self, package: &Package) -> Vec<Line> {
        let folder = workspace::target_dir().join(self.name);
        let line = self.line(package, workspace::relative(&folder));
        let in_crate = line.clone().arguments(["--lib", "--", self.name]);
        let in_tests = self
            .has_files(package)
            .then(|| line.argument("--test").argument(self.files()));
        std::iter::once(in_crate).chain(in_tests).collect()
    }

    /// One command that builds all of a package's models in `target_dir`, and
    /// the ordinary tests inside the crate with them.
    pub(crate) fn models(&self, package: &Package, target_dir: &Path) -> Line {
        let line = self.line(package, target_dir).argument("--lib");
        match self.has_files(package) {
            true => line.argument("--test").argument(self.files()),
            false => line,
        }
    }

    /// What the models find in their environment.
    pub(crate) fn owned_environment(&self) -> impl Iterator<Item = (String, String)> {
        self.environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    }

    /// The pattern that names test files with models in them.
    fn files(&self) -> String {
        format!("{}_*", self.name)
    }

    /// Whether any test file fits the pattern: if not, it is an error to cargo.
    fn has_files(&self, package: &Package) -> bool {
        let prefix = format!("{}_", self.name);
        let is_file = |target: &Target| target.kind == "test" && target.name.starts_with(&prefix);
        package.targets.iter().any(is_file)
    }

    fn line(&self, package: &Package, target_dir: &Path) -> Line {
        let line = Line::cargo("test --profile loom --target-dir")
            .argument(target_dir.to_string_lossy())
            .arguments(["-p", &package.name])
            .environment("RUSTFLAGS", &format!("--cfg {}", self.cfg));
        let set = |line: Line, (name, value): &(&str, &str)| line.environment(name, value);
        self.environment.iter().fold(line, set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn package(test_files: &[&str]) -> Package {
        let target = |name: &&str| Target {
            name: (*name).to_owned(),
            kind: "test".to_owned(),
            file: PathBuf::new(),
        };
        Package {
            name: "a-crate".to_owned(),
            folder: PathBuf::new(),
            dependencies: Vec::new(),
            targets: test_files.iter().map(target).collect(),
        }
    }

    #[test]
    fn ordinary_tests_never_run_under_a_checker() {
        let shown = |files: &[&str]| {
            let lines = crate::loom::LOOM.lines(&package(files));
            lines.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let [in_crate, in_tests] = &shown(&["loom_tail", "model"])[..] else {
            panic!("one line for the crate, one for its test files");
        };
        assert!(in_crate.starts_with("RUSTFLAGS='--cfg log_loom' LOOM_MAX_PREEMPTIONS="));
        assert!(in_crate.ends_with("-p a-crate --lib -- loom"));
        assert!(in_tests.ends_with("-p a-crate --test 'loom_*'"));
        assert_eq!(
            shown(&["model"]).len(),
            1,
            "a pattern without a match is an error to cargo"
        );
    }
}
