//! Real small disks that fill up. What needs rights that are not there says so
//! and passes.

use std::path::Path;
use std::process::Command;

use log_mmap::{AppendError, CommitError, Lsn, Store};

use crate::support::{count, given_directory, mapped, other, payload};

/// Fills the disk through the mapping until it is full, then makes room.
#[test]
#[ignore = "a role for other tests"]
fn role_fills_the_disk() {
    let Some(directory) = given_directory() else {
        return;
    };
    let filler = directory.join("filler");
    let options = mapped(256 << 10);
    let log = directory.join("log");
    let store = Store::open(&log, options.clone()).unwrap();
    std::fs::write(&filler, vec![1; 300 << 10]).unwrap();
    let mut appended = 0;
    let full = loop {
        match store.append(&payload(appended)) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    let is_full = matches!(&full, AppendError::Commit(CommitError::StorageFull { .. }));
    assert!(is_full, "an error, and no signal: {full}");
    assert_eq!(store.next_lsn(), Lsn(appended), "it was not appended");
    assert_eq!(count(&store), appended, "reads go on");
    // Every block of what is mapped is there: all of it can be written.
    assert_eq!(store.sync().unwrap(), Lsn(appended));

    std::fs::remove_file(&filler).unwrap();
    let mut more = appended;
    while more < appended + 500 {
        store.append(&payload(more)).unwrap();
        more += 1;
    }
    store.close().unwrap();
    let store = Store::open(&log, options).unwrap();
    assert_eq!(count(&store), more);
    println!("filled {appended}");
}

/// Runs the role with this disk mounted at the directory.
fn fills(mount: &str) {
    let can_mount = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: no right to mount here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let shell = format!(r#"{mount}; "$@""#);
    run(&shell, directory.path());
}

fn run(shell: &str, directory: &Path) {
    let role = other("disks::role_fills_the_disk", directory);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-e", "-c", shell, "sh"])
        .arg(role.get_program())
        .args(role.get_args())
        .env("TARGET", directory);
    for (name, value) in role.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if complained.contains("skipped:") {
        println!("{complained}");
        return;
    }
    assert!(
        output.status.success() && said.contains("1 passed") && said.contains("filled"),
        "{said}\n{complained}"
    );
}

#[test]
fn fault_33_a_full_disk_in_memory_is_an_error_and_never_a_signal() {
    fills(r#"mount -t tmpfs -o size=1200k none "$TARGET""#);
}

#[test]
fn fault_33_a_full_disk_with_a_journal_is_an_error_and_never_a_signal() {
    fills(
        r#"mount -t tmpfs -o size=40m none /mnt
        truncate -s 24m /mnt/image
        mkfs.ext4 -q -m 0 /mnt/image || { echo "skipped: no mkfs.ext4 here" >&2; exit 0; }
        mount -o loop /mnt/image "$TARGET" || { echo "skipped: no loop device here" >&2; exit 0; }
        trap 'umount "$TARGET"' EXIT
        free=$(stat -f -c '%a * %S / 1024' "$TARGET")
        dd if=/dev/zero of="$TARGET/ballast" bs=1k count=$(( $free - 1400 )) status=none"#,
    );
}
