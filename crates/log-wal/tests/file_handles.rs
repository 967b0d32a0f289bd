//! Alone in their process, and one at a time, because they change a limit of
//! the process and count its handles.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use common::{append, count_of_prefix, payload, small, with_spares};
use log_wal::format::Header;
use log_wal::{Lsn, Verify, Wal, WalReader};
use rustix::process::{Resource, getrlimit, setrlimit};

static ALONE: Mutex<()> = Mutex::new(());

fn open_handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A spare is open while it waits, and so is a file that is used again.
#[test]
fn spares_and_files_that_are_used_again_hold_no_more_handles_with_time() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), with_spares()).unwrap();
    let (mut settled, mut used_again) = (None, 0);
    for round in 0..30 {
        // Full segments: of one that is sealed early the file is cut.
        while wal.sealed().len() < 4 {
            let next = wal.next_lsn().0;
            append(&wal, next, next + 1);
            wal.flush().unwrap();
        }
        // Read, and so held open, before they are dropped.
        assert_eq!(
            wal.iter().count() as u64,
            wal.next_lsn().0 - wal.first_lsn().0
        );
        wal.read(wal.first_lsn()).unwrap().unwrap();
        wal.prepare().unwrap();
        let handles = open_handles();
        let is_used_again =
            |path: &PathBuf| Header::decode(&fs::read(path).unwrap()).unwrap().recycled;
        let paths = wal.sealed().into_iter().map(|segment| segment.path);
        used_again += paths.filter(is_used_again).count();
        assert_eq!(wal.checkpoint(wal.sealed()[3].end).unwrap(), 4);
        // Two rounds, to have as many spares as are kept.
        if round == 2 {
            settled = Some(handles);
        }
        let most = settled.unwrap_or(handles);
        assert!(handles <= most, "round {round}: {handles} after {most}");
    }
    assert!(used_again > 20, "{used_again}");
    wal.close().unwrap();
}

#[test]
fn a_log_may_have_more_segments_than_a_process_may_have_files() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    for lsn in 0..100 {
        append(&wal, lsn, lsn + 1);
        wal.rotate().unwrap();
    }
    wal.close().unwrap();

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(50);
    setrlimit(Resource::Nofile, limit).unwrap();
    let reader = WalReader::open(directory.path()).unwrap();
    assert_eq!(count_of_prefix(reader.iter()), 100);
    assert!(reader.verify().damage.is_empty());
    let wal = Wal::open_with(directory.path(), small().verify(Verify::All)).unwrap();
    assert_eq!(count_of_prefix(wal.iter()), 100);
    for lsn in (0..100).chain((0..100).rev()) {
        let records = [reader.read(Lsn(lsn)), wal.read(Lsn(lsn))];
        for record in records {
            assert_eq!(record.unwrap().unwrap().payload(), payload(lsn));
        }
    }
    append(&wal, 100, 110);
    wal.close().unwrap();
}
