//! The real system refuses a call. What needs tools that are not there says so
//! and passes.

use std::process::Command;

use log_mmap::{AppendError, CommitError, Level, Lsn, Store};

use crate::support::{count, given_directory, other, payload, small};

/// Appends and syncs until a call fails, and says which and how.
#[test]
#[ignore = "a role for other tests"]
fn role_commits_until_it_fails() {
    let Some(directory) = given_directory() else {
        return;
    };
    let store = match Store::open(directory, small()) {
        Ok(store) => store,
        Err(error) => return println!("refused: {error}"),
    };
    for lsn in 0..200 {
        let durable = |lsn: Lsn| store.commit(Lsn(lsn.0 + 1), Level::Durable);
        let done = store
            .append(&payload(lsn))
            .and_then(|lsn| Ok(durable(lsn)?));
        match done {
            Ok(()) => println!("acknowledged {}", lsn + 1),
            Err(AppendError::Commit(CommitError::Poisoned { source, .. })) => {
                return stays_poisoned(&store, &source);
            }
            Err(error) => {
                println!("not appended: {error}");
                assert_eq!(store.append(&payload(lsn)).unwrap(), Lsn(lsn));
                durable(Lsn(lsn)).unwrap();
                println!("acknowledged {}", lsn + 1);
            }
        }
    }
    println!("never poisoned");
}

fn stays_poisoned(store: &Store, source: &std::io::Error) {
    println!("poisoned: {source}");
    let before = store.watermarks();
    for _ in 0..3 {
        assert!(store.sync().is_err(), "INV-W6");
        assert!(store.append(b"late").is_err(), "INV-W6");
    }
    assert_eq!(store.watermarks(), before, "INV-W6");
    assert_eq!(count(store), before.published_end.0, "reads go on");
}

/// Runs the role with one system call tampered with. Returns what it said, and
/// how many records it acknowledged, all of which must be there.
fn injected(injection: &str) -> Option<(String, u64)> {
    let available = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    if !available.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace does not work here");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let role = other("system::role_commits_until_it_fails", directory.path());
    let mut command = Command::new("strace");
    let injection = format!("inject={injection}");
    command.args(["-f", "-o", "/dev/null", "-e", &injection]);
    command.arg(role.get_program()).args(role.get_args());
    for (name, value) in role.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{injection}: {said}\n{complained}"
    );
    let acknowledged = said.matches("acknowledged").count() as u64;
    let store = Store::open(directory.path(), small()).unwrap();
    assert!(store.next_lsn() >= Lsn(acknowledged), "INV-W1: {injection}");
    assert_eq!(count(&store), store.next_lsn().0, "INV-W3: {injection}");
    Some((said, acknowledged))
}

#[test]
fn fault_15_a_sync_of_the_front_that_fails_stops_the_log() {
    // Of a record, of a seal, of a header: whatever is brought to the disk.
    for when in [1, 2, 30, 75, 76, 77, 78, 79, 80, 120] {
        let Some((said, acknowledged)) = injected(&format!("msync:error=EIO:when={when}")) else {
            return;
        };
        assert!(
            said.contains("poisoned: Input/output error") && acknowledged < 200,
            "sync {when}: {said}"
        );
    }
}

#[test]
fn fault_15_a_sync_of_a_whole_file_that_fails_stops_the_log_or_is_refused() {
    for when in [1, 2, 3] {
        let Some((said, acknowledged)) = injected(&format!("fdatasync:error=EIO:when={when}"))
        else {
            return;
        };
        let stopped = said.contains("poisoned") || said.contains("refused");
        assert!(stopped || acknowledged == 200, "sync {when}: {said}");
    }
}

#[test]
fn fault_33_a_file_whose_blocks_are_refused_is_an_error_and_never_a_signal() {
    for error in ["ENOSPC", "EDQUOT"] {
        for when in 1..=6 {
            let injection = format!("fallocate:error={error}:when={when}");
            let Some((said, acknowledged)) = injected(&injection) else {
                return;
            };
            // Of the first segment that is the end; of another one an append
            // says so, or it was a file made ahead, which nobody needs.
            let refused = said.contains("refused") && acknowledged == 0;
            let went_on = said.contains("never poisoned") && acknowledged == 200;
            assert!(refused || went_on, "{injection}: {said}");
        }
    }
    // The file made ahead, and then the one that the rotation makes.
    let Some((said, acknowledged)) = injected("fallocate:error=ENOSPC:when=2..3") else {
        return;
    };
    assert!(
        said.contains("not appended") && acknowledged == 200,
        "{said}"
    );
    let Some((said, acknowledged)) = injected("fallocate:error=EINTR:when=1+2") else {
        return;
    };
    assert!(
        said.contains("never poisoned") && acknowledged == 200,
        "it is done again: {said}"
    );
}
