//! The real system refuses: no room, no permission, failing calls. What needs
//! rights or tools that are not there says so and passes.

use std::path::Path;
use std::process::{Command, Output};

use log_wal::{CommitError, Lsn, OpenError, Wal, WalReader};

use crate::common::{append, count_of_prefix, payload, small};
use crate::processes::{given_directory, other};

/// Runs a role inside a shell line that ends in `"$@"`.
fn within(shell: &str, role: &str, directory: &Path) -> Output {
    let role = other(role, directory);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-e", "-c", shell, "sh"]);
    command.arg(role.get_program()).args(role.get_args());
    for (name, value) in role.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.output().unwrap()
}

/// Whether mounts of our own can be made.
fn can_mount() -> bool {
    let mount = "mount -t tmpfs none /mnt";
    let tried = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: no right to mount here");
    }
    can
}

fn assert_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
}

#[test]
#[ignore = "a role for other tests"]
fn role_fills_the_disk() {
    let Some(directory) = given_directory() else {
        return;
    };
    let options = log_wal::WalOptions::default().segment_bytes(256 << 10);
    let filler = directory.join("filler");
    let directory = directory.join("log");
    let wal = Wal::open_with(&directory, options.clone()).unwrap();
    std::fs::write(&filler, vec![1; 300 << 10]).unwrap();
    let mut appended = 0;
    let full = loop {
        append(&wal, appended, appended + 100);
        appended += 100;
        if let Err(error) = wal.sync() {
            break error;
        }
    };
    assert!(matches!(full, CommitError::StorageFull { .. }), "{full}");
    assert_eq!(count_of_prefix(wal.iter()), appended, "reads go on");
    let durable_end = wal.watermarks().durable_end;
    assert!(durable_end.0 > 0 && durable_end.0 < appended);
    let reader = WalReader::open(&directory).unwrap();
    assert!(reader.next_lsn() >= durable_end);

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(wal.sync().unwrap(), Lsn(appended), "there is room again");
    append(&wal, appended, appended + 1);
    wal.close().unwrap();
    let wal = Wal::open_with(&directory, options).unwrap();
    assert_eq!(count_of_prefix(wal.iter()), appended + 1);
}

#[test]
fn fault_18_a_small_real_disk_fills_up_and_has_room_again() {
    if !can_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = format!(
        r#"mount -t tmpfs -o size=1200k none {}; exec "$@""#,
        directory.path().display()
    );
    assert_passed(&within(
        &mount,
        "system::role_fills_the_disk",
        directory.path(),
    ));
}

#[test]
#[ignore = "a role for other tests"]
fn role_reads_a_read_only_medium() {
    let Some(directory) = given_directory() else {
        return;
    };
    let reader = WalReader::open(&directory).unwrap();
    assert_eq!(count_of_prefix(reader.iter()), 40);
    assert!(reader.verify().damage.is_empty());
    let refused = Wal::open_with(&directory, small());
    assert!(
        matches!(refused, Err(OpenError::NotWritable { .. })),
        "{refused:?}"
    );
}

#[test]
fn fault_48_a_log_on_a_read_only_medium_can_be_read_and_verified() {
    if !can_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    append(&wal, 0, 20);
    wal.rotate().unwrap();
    append(&wal, 20, 40);
    wal.close().unwrap();
    let mount = format!(
        r#"mount --bind {0} {0}; mount -o remount,bind,ro {0}; exec "$@""#,
        directory.path().display()
    );
    let role = "system::role_reads_a_read_only_medium";
    assert_passed(&within(&mount, role, directory.path()));
}

#[test]
#[ignore = "a role for other tests"]
fn role_commits_until_it_fails() {
    let Some(directory) = given_directory() else {
        return;
    };
    let wal = match Wal::open_with(directory, small()) {
        Ok(wal) => wal,
        Err(error) => {
            println!("refused: {error}");
            return;
        }
    };
    for lsn in 0..200 {
        if let Err(error) = wal.append_durable(&payload(lsn)) {
            println!("failed: {error}");
            let durable_end = wal.watermarks().durable_end;
            for _ in 0..3 {
                assert!(wal.sync().is_err(), "INV-W6");
                assert!(wal.append_durable(b"late").is_err(), "INV-W6");
            }
            assert_eq!(wal.watermarks().durable_end, durable_end, "INV-W6");
            return;
        }
        println!("acknowledged {}", lsn + 1);
    }
    println!("nothing failed");
}

/// Runs the role with one system call tampered with. Returns what it said.
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
    command.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        &format!("inject={injection}"),
    ]);
    command.arg(role.get_program()).args(role.get_args());
    for (name, value) in role.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    assert_passed(&output);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let acknowledged = said.matches("acknowledged").count() as u64;
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    assert!(wal.next_lsn().0 >= acknowledged, "INV-W1");
    assert_eq!(count_of_prefix(wal.iter()), wal.next_lsn().0, "INV-W3");
    Some((said, acknowledged))
}

#[test]
fn fault_15_the_unmodified_program_stops_when_the_system_says_that_a_sync_failed() {
    for when in [1, 2, 3, 10, 80] {
        let Some((said, acknowledged)) = injected(&format!("fdatasync:error=EIO:when={when}"))
        else {
            return;
        };
        assert!(
            !said.contains("nothing failed") && acknowledged < 200,
            "sync {when}: {said}"
        );
        assert!(said.contains("Input/output error"), "it says why: {said}");
    }
}

#[test]
fn fault_17_an_interrupted_write_is_done_again_and_a_failed_one_stops_the_log() {
    for when in ["3", "5", "20", "2+3"] {
        let Some((said, acknowledged)) = injected(&format!("pwrite64:error=EINTR:when={when}"))
        else {
            return;
        };
        assert!(
            said.contains("nothing failed") && acknowledged == 200,
            "{said}"
        );
    }
    for what in ["error=EIO", "retval=0", "error=ENOSPC"] {
        for when in [2, 4, 60] {
            let injection = format!("pwrite64:{what}:when={when}");
            let Some((said, acknowledged)) = injected(&injection) else {
                return;
            };
            assert!(
                !said.contains("nothing failed") && acknowledged < 200,
                "{injection}: {said}"
            );
        }
    }
}

#[test]
fn fault_18_a_limit_on_the_size_of_files_is_an_error_and_not_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let role = other("system::role_commits_until_it_fails", directory.path());
    let mut command = Command::new("sh");
    // In blocks of 512 bytes: less than one segment.
    let limit = r#"trap '' XFSZ; ulimit -f 16; exec "$@""#;
    command.args(["-c", limit, "sh"]);
    command.arg(role.get_program()).args(role.get_args());
    for (name, value) in role.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    assert_passed(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("refused") && said.contains("File too large"),
        "{said}"
    );
    Wal::open_with(directory.path(), small()).expect("without the limit it opens");
}
