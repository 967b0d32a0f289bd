//! Other processes: this test binary runs itself, and one of the tests below
//! that are marked as ignored plays the other process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use log_wal::{Lsn, OpenError, Wal, WalReader};

use crate::common::{append, count_of_prefix, payload, small};

const DIRECTORY: &str = "STRATA_FAULTS_DIRECTORY";

/// What another process should do: a test of this binary.
pub(crate) fn other(role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([role, "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The directory that a role works in; `None` if it was not asked to play.
pub(crate) fn given_directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Runs a role, and waits until it says that it is ready.
fn started(role: &str, directory: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = other(role, directory).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    wait_for_line(&mut output, "ready");
    (child, output)
}

fn wait_for_line(output: &mut impl BufRead, wanted: &str) -> String {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if line.contains(wanted) {
            return line;
        }
        line.clear();
    }
    panic!("the other process ended without a word of {wanted:?}");
}

#[test]
#[ignore = "a role for other tests"]
fn role_holder() {
    let Some(directory) = given_directory() else {
        return;
    };
    let _wal = Wal::open_with(directory, small()).unwrap();
    println!("ready");
    // Until the other end is closed.
    let _read = std::io::stdin().read(&mut [0]);
}

#[test]
#[ignore = "a role for other tests"]
fn role_writer() {
    let Some(directory) = given_directory() else {
        return;
    };
    let wal = Wal::open_with(directory, small()).unwrap();
    println!("ready");
    for lsn in wal.next_lsn().0.. {
        wal.append_durable(&payload(lsn)).unwrap();
        println!("acknowledged {}", lsn + 1);
    }
}

#[test]
fn fault_44_a_second_writer_is_told_at_once_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, _output) = started("processes::role_holder", directory.path());
    match Wal::open_with(directory.path(), small()) {
        Err(OpenError::Locked { holder, .. }) => assert_eq!(holder, Some(child.id()), "INV-W7"),
        other => panic!("not locked: {other:?}"),
    }
    let reader = WalReader::open(directory.path()).unwrap();
    assert!(reader.is_being_written());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    Wal::open_with(directory.path(), small()).expect("the lock is free");
}

#[test]
fn fault_45_when_a_writer_is_killed_the_lock_is_free_and_what_it_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=5 {
        let (mut child, mut output) = started("processes::role_writer", directory.path());
        for _ in 0..40 * round {
            let line = wait_for_line(&mut output, "acknowledged");
            acknowledged = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let wal = Wal::open_with(directory.path(), small()).unwrap();
        assert!(wal.next_lsn() >= Lsn(acknowledged), "INV-W1");
        assert_eq!(count_of_prefix(wal.iter()), wal.next_lsn().0, "INV-W3");
    }
    assert!(acknowledged >= 600);
}

#[test]
fn fault_46_another_handle_of_the_lock_file_does_not_let_go_of_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    let lock = directory.path().join("LOCK");
    // POSIX record locks would be lost when any of these is closed.
    drop(fs::File::open(&lock).unwrap().try_clone().unwrap());
    assert!(
        fs::read_to_string(&lock)
            .unwrap()
            .contains(&std::process::id().to_string())
    );
    assert!(
        Command::new("true").status().unwrap().success(),
        "a child came and went"
    );
    let refused = Wal::open_with(directory.path(), small());
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "INV-W7");
    append(&wal, 0, 1);
    wal.close().unwrap();
}

#[test]
fn fault_47_a_reader_in_another_process_sees_a_prefix_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, mut output) = started("processes::role_writer", directory.path());
    let mut last = 0;
    for _ in 0..20 {
        let line = wait_for_line(&mut output, "acknowledged");
        let acknowledged: u64 = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let reader = WalReader::open(directory.path()).unwrap();
        let count = count_of_prefix(reader.iter());
        assert!(count >= acknowledged && count >= last, "INV-W3");
        last = count;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = || {
        let mut files: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                (
                    entry.file_name(),
                    metadata.len(),
                    metadata.modified().unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let before = listed();
    let reader = WalReader::open(directory.path()).unwrap();
    assert!(reader.verify().damage.is_empty());
    assert_eq!(listed(), before);
}
