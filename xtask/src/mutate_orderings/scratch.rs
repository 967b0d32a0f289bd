//! A copy of the workspace to change at will, and its tests, one by one.
//!
//! The user's tree is only read. The copy keeps its files' times where their
//! contents did not change, and its build folder, so that a mutation rebuilds
//! one crate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tinyjson::JsonValue;

use crate::command::Line;
use crate::{Outcome, workspace};

/// What a copy needs not: what is built, and what git remembers.
const LEFT_OUT: [&str; 4] = ["target", ".git", ".ci", "demo-log"];

/// The copy.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes the copy the same as the workspace.
    pub(crate) fn refreshed() -> Outcome<Self> {
        let folder = workspace::target_dir().join("mutate").join("workspace");
        let outcome = mirror(workspace::root(), &folder);
        outcome.map_err(|e| format!("copying to {}: {e}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The copy's `path`, which is as seen from the root.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    pub(crate) fn write(&self, path: &Path, text: &str) -> Outcome {
        let path = self.path(path);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Makes `copy` hold the same files as `original`; files that are the same
/// already are not touched.
fn mirror(original: &Path, copy: &Path) -> io::Result<()> {
    fs::create_dir_all(copy)?;
    for entry in fs::read_dir(copy)? {
        let entry = entry?;
        if !original.join(entry.file_name()).exists() {
            let path = entry.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?
            } else {
                fs::remove_file(path)?
            }
        }
    }
    for entry in fs::read_dir(original)? {
        let entry = entry?;
        let is_left_out = LEFT_OUT.iter().any(|name| entry.file_name() == *name);
        let (from, to) = (entry.path(), copy.join(entry.file_name()));
        if is_left_out || from == workspace::target_dir() {
            continue;
        } else if from.is_dir() {
            mirror(&from, &to)?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// One test of one test binary.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Binary and test, such as `loom_tail::no_number_is_given_twice`.
    pub(crate) name: String,
    binary: PathBuf,
    exact: String,
    /// How long it may run before it is given up.
    pub(crate) limit: Duration,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    /// It took longer than its limit, or another one failed first.
    GivenUp,
}

/// Builds test binaries with `line` (a `cargo test`) and lists their tests;
/// of those inside the crate, only the ones whose path has `in_crate` in it.
///
/// `Ok(None)`: the code does not compile.
pub(crate) fn build(line: &Line, in_crate: &str) -> Outcome<Option<Vec<Test>>> {
    let line = line
        .clone()
        .arguments(["--no-run", "--message-format", "json"]);
    let output = line.command().stderr(Stdio::null()).output();
    let output = output.map_err(|e| format!("`{line}` did not start: {e}"))?;
    if !output.status.success() {
        return Ok(None);
    }
    let mut tests = Vec::new();
    for message in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(binary) = binary(message) {
            tests.extend(binary.tests(in_crate)?);
        }
    }
    Ok(Some(tests))
}

struct Binary {
    name: String,
    is_crate: bool,
    file: PathBuf,
}

/// The test binary that a message of cargo announces.
fn binary(message: &str) -> Option<Binary> {
    let message: JsonValue = message.parse().ok()?;
    let message: &std::collections::HashMap<String, JsonValue> = message.get()?;
    let file = PathBuf::from(message.get("executable")?.get::<String>()?);
    let target: &std::collections::HashMap<String, JsonValue> = message.get("target")?.get()?;
    let kind: &Vec<JsonValue> = target.get("kind")?.get()?;
    Some(Binary {
        name: target.get("name")?.get::<String>()?.clone(),
        is_crate: kind
            .iter()
            .any(|kind| kind.get::<String>().is_some_and(|kind| kind == "lib")),
        file,
    })
}

impl Binary {
    fn tests(&self, in_crate: &str) -> Outcome<Vec<Test>> {
        let list =
            Line::new(&self.file.to_string_lossy()).arguments(["--list", "--format", "terse"]);
        let list = list.read()?;
        let list = String::from_utf8_lossy(&list);
        let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
        let chosen = names.filter(|name| !self.is_crate || name.contains(in_crate));
        let test = |exact: &str| Test {
            name: format!("{}::{exact}", self.name),
            binary: self.file.clone(),
            exact: exact.to_owned(),
            limit: Duration::MAX,
        };
        Ok(chosen.map(test).collect())
    }
}

/// Runs `tests` in order, `jobs` at a time, until one fails. Returns how each
/// ended and how long it took, in order.
pub(crate) fn run_until_one_fails(
    tests: &[Test],
    jobs: usize,
    environment: &[(String, String)],
) -> Outcome<Vec<(Ended, Duration)>> {
    let stop = AtomicBool::new(false);
    let next = Mutex::new(0..tests.len());
    let results = Mutex::new(vec![(Ended::GivenUp, Duration::ZERO); tests.len()]);
    let work = || -> Outcome {
        loop {
            let taken = next.lock().map_err(|_| "a runner panicked")?.next();
            let Some(at) = taken.filter(|_| !stop.load(Ordering::Relaxed)) else {
                return Ok(());
            };
            let start = Instant::now();
            let ended = run(&tests[at], environment, &stop)?;
            if ended == Ended::Failed {
                stop.store(true, Ordering::Relaxed);
            }
            results.lock().map_err(|_| "a runner panicked")?[at] = (ended, start.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let join = |runner: std::thread::ScopedJoinHandle<'_, Outcome>| {
            runner
                .join()
                .unwrap_or_else(|_| Err("a runner panicked".to_owned()))
        };
        runners.into_iter().try_for_each(join)
    })?;
    results
        .into_inner()
        .map_err(|_| "a runner panicked".to_owned())
}

/// Runs one test in a process of its own.
fn run(test: &Test, environment: &[(String, String)], stop: &AtomicBool) -> Outcome<Ended> {
    let problem = |e: io::Error| format!("{}: {e}", test.binary.display());
    let line = Line::new(&test.binary.to_string_lossy()).arguments(["--exact", &test.exact]);
    let mut child = line
        .command()
        .envs(environment.iter().cloned())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(problem)?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(problem)? {
            return Ok(if status.success() {
                Ended::Passed
            } else {
                Ended::Failed
            });
        }
        if stop.load(Ordering::Relaxed) || start.elapsed() > test.limit {
            child.kill().map_err(problem)?;
            child.wait().map_err(problem)?;
            return Ok(Ended::GivenUp);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_binary_is_found_among_what_cargo_says() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"loom_tail"},
            "executable":"/t/loom_tail-1"}"#;
        let found = binary(message).unwrap();
        assert_eq!((found.name.as_str(), found.is_crate), ("loom_tail", false));
        assert_eq!(found.file, PathBuf::from("/t/loom_tail-1"));
        assert!(binary(r#"{"reason":"compiler-artifact","executable":null}"#).is_none());
        assert!(binary("no json").is_none());
    }

    #[test]
    fn a_mirror_follows_its_original_and_touches_only_what_changed() {
        let folder = workspace::target_dir().join("mirror-test");
        workspace::remove_dir(&folder).unwrap();
        let (original, copy) = (folder.join("original"), folder.join("copy"));
        fs::create_dir_all(original.join("inner")).unwrap();
        fs::write(original.join("inner/kept"), "1").unwrap();
        fs::write(original.join("gone"), "2").unwrap();
        mirror(&original, &copy).unwrap();
        let written = fs::metadata(copy.join("inner/kept"))
            .unwrap()
            .modified()
            .unwrap();

        fs::remove_file(original.join("gone")).unwrap();
        fs::write(original.join("new"), "3").unwrap();
        mirror(&original, &copy).unwrap();

        assert!(!copy.join("gone").exists());
        assert_eq!(fs::read(copy.join("new")).unwrap(), b"3");
        let now = fs::metadata(copy.join("inner/kept"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(now, written);
        workspace::remove_dir(&folder).unwrap();
    }
}
