//! Files are used again only when nobody reads them, and spares are nobody's
//! business but the writer's.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{append, count_of_prefix, payload, with_spares};
use log_wal::format::Header;
use log_wal::{Lsn, MemStorage, ReadError, Verify, Wal, WalReader};

const DIRECTORY: &str = "STRATA_SPARES_DIRECTORY";

fn spares(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".spare")).count()
}

/// A log in `directory` with two sealed segments, nearly full: records 0 to
/// 150, and 150 to 300. Files that were sealed early are cut, and not used
/// again.
fn two_sealed(directory: &Path) -> Wal {
    let wal = Wal::open_with(directory, with_spares()).unwrap();
    let mut next = 0;
    while wal.sealed().len() < 2 {
        append(&wal, next, next + 1);
        wal.flush().unwrap();
        next += 1;
    }
    wal.sync().unwrap();
    wal
}

/// How many segments in `directory` are in files that were used before.
fn used_again(directory: &Path) -> usize {
    let reader = WalReader::open(directory).unwrap();
    let segments = reader.segments().into_iter();
    let headers = segments.map(|segment| Header::decode(&fs::read(segment.path).unwrap()).unwrap());
    headers.filter(|header| header.recycled).count()
}

#[test]
fn a_file_that_nobody_reads_is_used_again_under_another_name() {
    let directory = tempfile::tempdir().unwrap();
    let wal = two_sealed(directory.path());
    let end = wal.next_lsn().0;
    assert_eq!(wal.checkpoint(wal.sealed()[1].end).unwrap(), 2);
    assert_eq!(spares(directory.path()), 2);
    wal.rotate().unwrap();
    append(&wal, end, end + 5);
    wal.sync().unwrap();
    assert_eq!(spares(directory.path()), 1);
    assert_eq!(used_again(directory.path()), 1);
    for (lsn, record) in
        (wal.first_lsn().0..).zip(WalReader::open(directory.path()).unwrap().iter())
    {
        assert_eq!(record.unwrap().payload(), payload(lsn), "INV-W8");
    }
    wal.close().unwrap();
    assert_eq!(spares(directory.path()), 0, "closing leaves none behind");
    let wal = Wal::open_with(directory.path(), with_spares().verify(Verify::All)).unwrap();
    assert_eq!(wal.next_lsn(), Lsn(end + 5));
}

#[test]
fn fault_39_a_file_that_is_read_here_is_removed_and_never_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let wal = two_sealed(directory.path());
    let reader = WalReader::open(directory.path()).unwrap();
    let (mut of_log, mut of_files) = (wal.iter(), reader.iter());
    assert!(of_log.next().is_some() && of_files.next().is_some());
    let first_end = wal.sealed()[0].end;
    assert_eq!(wal.checkpoint(first_end).unwrap(), 1);
    assert_eq!(spares(directory.path()), 0, "INV-M2: it is held");
    wal.rotate().unwrap();
    append(&wal, wal.next_lsn().0, wal.next_lsn().0 + 50);
    wal.sync().unwrap();
    for iter in [of_log, of_files] {
        for (lsn, record) in (1..first_end.0).zip(iter) {
            assert_eq!(record.unwrap().payload(), payload(lsn), "INV-M5");
        }
    }
}

#[test]
#[ignore = "a role for other tests"]
fn role_reader() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let reader = WalReader::open(&directory).unwrap();
    let mut records = reader.iter();
    assert_eq!(records.next().unwrap().unwrap().payload(), payload(0));
    println!("ready");
    // Until the other end says that the log has moved on.
    assert_eq!(std::io::stdin().read(&mut [0]).unwrap(), 1);
    let first_end = reader.segments()[0].end;
    for (lsn, record) in (1..first_end.0).zip(records) {
        assert_eq!(record.unwrap().payload(), payload(lsn), "INV-M5");
    }
    println!("unchanged");
}

#[test]
fn fault_39_a_file_that_another_process_reads_is_never_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let wal = two_sealed(directory.path());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["role_reader", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |wanted: &str| {
        let found = output.find(|line| line.as_ref().is_ok_and(|line| line.contains(wanted)));
        assert!(found.is_some(), "the reader never said {wanted:?}");
    };
    wait_for("ready");
    assert_eq!(wal.checkpoint(wal.sealed()[1].end).unwrap(), 2);
    assert_eq!(spares(directory.path()), 1, "INV-M2: one of them is held");
    for _ in 0..3 {
        append(&wal, wal.next_lsn().0, wal.next_lsn().0 + 100);
        wal.rotate().unwrap();
    }
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"!").unwrap();
    wait_for("unchanged");
    assert!(child.wait().unwrap().success());
    // Its end lets go of everything.
    let end = wal.sealed().last().unwrap().end;
    assert!(wal.checkpoint(end).unwrap() >= 3);
}

#[test]
fn spares_that_a_dead_writer_left_are_no_part_of_the_log_and_are_removed() {
    let storage = MemStorage::new();
    let wal = Wal::with_storage(Arc::new(storage.clone()), with_spares()).unwrap();
    append(&wal, 0, 20);
    assert!(wal.prepare().unwrap());
    wal.sync().unwrap();
    let left = MemStorage::with_files(storage.files());
    drop(wal);
    assert!(left.files().keys().any(|name| name.contains(".spare")));
    let reader = WalReader::with_storage(Arc::new(left.clone())).unwrap();
    assert!(reader.report().ignored_files.is_empty(), "nothing strange");
    assert!(reader.verify().damage.is_empty());
    assert_eq!(count_of_prefix(reader.iter()), 20);
    let wal = Wal::with_storage(Arc::new(left.clone()), with_spares()).unwrap();
    assert!(!left.files().keys().any(|name| name.contains(".spare")));
    assert_eq!(count_of_prefix(wal.iter()), 20);
}

#[test]
fn no_more_files_are_kept_than_allowed() {
    for max in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let options = with_spares().spare_segments_max(max);
        let wal = Wal::open_with(directory.path(), options).unwrap();
        append(&wal, 0, 900);
        wal.sync().unwrap();
        let _made = wal.prepare().unwrap();
        assert!(wal.checkpoint(Lsn(900)).unwrap() > 3);
        assert_eq!(spares(directory.path()), max);
    }
}

#[test]
fn what_retention_takes_from_a_reader_is_truncated_and_not_an_io_error() {
    for spares_max in [0, 2] {
        let directory = tempfile::tempdir().unwrap();
        drop(two_sealed(directory.path()));
        let options = with_spares().spare_segments_max(spares_max);
        let wal = Wal::open_with(directory.path(), options).unwrap();
        let reader = WalReader::open(directory.path()).unwrap();
        let mut before = reader.iter();
        let ends = [wal.sealed()[0].end, wal.sealed()[1].end];
        let first = wal.sealed()[1].end;
        assert_eq!(wal.checkpoint(first).unwrap(), 2, "nobody holds them");
        for requested in [Lsn(0), Lsn(3), ends[0]] {
            let error = reader.read(requested).unwrap_err();
            assert!(
                matches!(error, ReadError::Truncated { requested: of, first: at }
                    if of == requested && at == first),
                "{error}"
            );
        }
        let error = before.next().unwrap().unwrap_err();
        assert!(matches!(error, ReadError::Truncated { first: at, .. } if at == first));
        assert_eq!(before.next().unwrap().unwrap().lsn(), first, "it goes on");
    }
}
