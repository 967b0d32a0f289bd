//! Running `strata`, and places to run it in.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

/// The smallest segments there are, so that little data makes many.
pub(crate) const SMALL_SEGMENTS: [&str; 2] = ["--segment-bytes", "16KiB"];

/// A folder for one test, removed behind it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// A log that holds the lines of `bytes`, in the smallest segments.
    pub(crate) fn log(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let log = self.path(name);
        succeed(&mut ingest(&log, SMALL_SEGMENTS), bytes);
        log
    }
}

pub(crate) fn strata<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
    command.args(arguments);
    command
}

/// `strata ingest - --log LOG`, and more.
pub(crate) fn ingest<const N: usize>(log: &Path, more: [&str; N]) -> Command {
    let mut command = strata(["ingest", "-", "--log"]);
    command.arg(log).args(more);
    command
}

/// `strata VERB --log LOG`, and more.
pub(crate) fn look<const N: usize>(verb: &str, log: &Path, more: [&str; N]) -> Command {
    let mut command = strata([verb, "--log"]);
    command.arg(log).args(more);
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child = piped(command);
    let mut input = child.stdin.take().unwrap();
    thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || drop(input.write_all(stdin)));
        child.wait_with_output().unwrap()
    })
}

/// Runs a command that must succeed, and returns what it wrote to stdout.
#[track_caller]
pub(crate) fn succeed(command: &mut Command, stdin: &[u8]) -> Vec<u8> {
    let output = run(command, stdin);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{command:?}: {}",
        text(&output.stderr)
    );
    output.stdout
}

/// Runs a command that must say, in one line, that it could not run.
#[track_caller]
pub(crate) fn refusal(command: &mut Command) -> String {
    let output = run(command, b"");
    refusal_of(command, &output)
}

#[track_caller]
pub(crate) fn refusal_of(command: &Command, output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    assert!(is_one_line(&said), "{command:?}: one line, not {said:?}");
    said
}

/// One line of ours, and so no backtrace.
pub(crate) fn is_one_line(said: &str) -> bool {
    said.starts_with("strata: ") && said.ends_with('\n') && said.lines().count() == 1
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(crate) fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{said:?} says {part:?}");
    }
}

/// What `stat` or `verify` says as JSON, with the exit code.
#[track_caller]
pub(crate) fn json(verb: &str, log: &Path) -> (i32, serde_json::Value) {
    let output = run(&mut look(verb, log, ["--json"]), b"");
    let value = serde_json::from_slice(&output.stdout);
    let problem = text(&output.stderr);
    (
        output.status.code().unwrap(),
        value.unwrap_or_else(|e| panic!("{verb}: {e}: {problem}")),
    )
}

#[track_caller]
pub(crate) fn cat(log: &Path) -> Vec<u8> {
    succeed(&mut look("cat", log, []), b"")
}

pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The segment files of a log, oldest first.
pub(crate) fn segment_files(log: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

/// Every file of a folder with its bytes. The lock file is left out: who tried
/// to write last is written in it, for people.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| !path.ends_with("LOCK"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn piped(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A running `strata ingest - --report-acks`.
pub(crate) struct Writer {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub acks: BufReader<ChildStdout>,
    pub stderr: ChildStderr,
}

impl Writer {
    pub(crate) fn start<const N: usize>(log: &Path, more: [&str; N]) -> Self {
        let mut child = piped(ingest(log, more).arg("--report-acks"));
        Self {
            stdin: child.stdin.take(),
            acks: BufReader::new(child.stdout.take().unwrap()),
            stderr: child.stderr.take().unwrap(),
            child,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Waits for the next acknowledgement; `None` when there will be no more.
    pub(crate) fn next_ack(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.acks.read_line(&mut line).unwrap();
        // A line without its end would be an acknowledgement half written.
        line.strip_suffix('\n')
            .map(|number| number.parse().unwrap())
    }

    /// Waits until the records before `end` are acknowledged.
    pub(crate) fn wait_for_ack(&mut self, end: u64) {
        while self.next_ack().unwrap() < end {}
    }

    /// Ends the input, and waits for a good end.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        while self.next_ack().is_some() {}
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
    }
}
