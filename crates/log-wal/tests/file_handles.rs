//! Alone in its process, because it changes a limit of the process.

mod common;

use common::{append, count_of_prefix, payload, small};
use log_wal::{Lsn, Verify, Wal, WalReader};
use rustix::process::{Resource, getrlimit, setrlimit};

#[test]
fn a_log_may_have_more_segments_than_a_process_may_have_files() {
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
