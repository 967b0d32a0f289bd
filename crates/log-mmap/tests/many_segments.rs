//! Fault 43: thousands of segments, and few handles. A program of its own,
//! because the limit holds for all of it.

use std::fs;
use std::path::Path;

use log_mmap::{Lsn, Reader, Store, StoreOptions, WalOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const SEGMENTS: u64 = 3000;
/// As `MAPPED_MAX` of the catalog.
const MAPPED_MAX: usize = 1024;

fn payload(lsn: u64) -> Vec<u8> {
    let mut payload = vec![lsn as u8; 6000];
    payload[..8].copy_from_slice(&lsn.to_le_bytes());
    payload
}

/// How many segment files are mapped.
fn mapped() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(".log")).count()
}

fn open_handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn limit_handles(handles: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(handles),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn thousands_of_segments_need_few_handles_and_a_bounded_number_of_mappings() {
    // In memory where that is possible: there is nothing to learn from as many
    // syncs of a disk.
    let shared_memory = Path::new("/dev/shm");
    let directory = match shared_memory.is_dir() {
        true => tempfile::tempdir_in(shared_memory),
        false => tempfile::tempdir(),
    };
    let directory = directory.unwrap();
    limit_handles(64);
    let wal = WalOptions::default().segment_bytes(16 << 10);
    let options = StoreOptions::default().wal(wal);

    let store = Store::open(directory.path(), options.clone()).unwrap();
    let mut end = 0;
    while (store.segments().len() as u64) <= SEGMENTS {
        for _ in 0..100 {
            assert_eq!(store.append(&payload(end)).unwrap(), Lsn(end));
            end += 1;
        }
        store.flush().unwrap();
    }
    assert_eq!(mapped(), 0, "nobody has read anything");
    store.close().unwrap();

    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!(mapped(), 0, "opening maps nothing");
    let handles = open_handles();
    let mut lsn = 1;
    for _ in 0..2 * SEGMENTS {
        lsn = (lsn * 7919 + 4099) % end;
        let record = store.read(Lsn(lsn)).unwrap().unwrap();
        assert_eq!(record.payload(), payload(lsn));
        assert!(open_handles() <= handles + 8, "a mapping needs no handle");
    }
    assert_eq!(store.iter().count() as u64, end);
    let in_use = mapped();
    assert!(in_use <= MAPPED_MAX, "{in_use} mappings");
    assert!(
        in_use > MAPPED_MAX / 2,
        "{in_use}: they are counted, and kept"
    );

    let reader = Reader::open(directory.path()).unwrap();
    for lsn in (0..end).step_by(997) {
        let record = reader.read(Lsn(lsn)).unwrap().unwrap();
        assert_eq!(record.payload(), payload(lsn));
    }
    drop(reader);

    assert!(store.drop_before(Lsn(end)).unwrap() as u64 >= SEGMENTS);
    assert_eq!(mapped(), 0, "what was dropped is not mapped any more");
    store.close().unwrap();
    let left = fs::read_dir(directory.path()).unwrap().count();
    assert!(left <= 4, "{left} files: the lock, the active segment");
}
