//! The format of what this crate adds does not change behind our back: records
//! with envelopes, a compacted segment, and both indexes of sealed segments
//! stay here as they were written once, must be read, and must be what is
//! written today, to the byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_mmap::{
    IndexState, Lsn, NewRecord, Reader, Record, Store, StoreOptions, Timestamp, WalOptions,
};
use log_wal::{MemStorage, Wal};

type Files = BTreeMap<String, Vec<u8>>;

/// Few enough bytes that a time index of a few records has several entries.
const INTERVAL_BYTES: u32 = 64;

/// Of the second segment, that is compacted.
const STAYS: [u64; 4] = [41, 43, 50, 55];
const COMPACTED: std::ops::Range<u64> = 40..60;

const LONG: [u8; 300] = [0xAB; 300];

/// Record `lsn` of the golden log.
fn record(lsn: u64) -> NewRecord<'static> {
    const NAMES: [&[u8]; 4] = [b"a", b"bb", b"", b"key"];
    let name = NAMES[lsn as usize % NAMES.len()];
    // In no order.
    let moment = Timestamp(1_700_000_000_000_000_000 + lsn * 10 + lsn * 37 % 50);
    match lsn % 8 {
        0 => NewRecord::new(b"plain"),
        1 => NewRecord::new(b"at a moment").timestamp(moment),
        2 => NewRecord::new(&LONG).timestamp(moment).key(name),
        3 => NewRecord::new(b"").schema_version(300),
        4 => NewRecord::new(b"many").batch_count(128).timestamp(moment),
        5 => NewRecord::new(b"with headers")
            .header("name", b"value")
            .header("", &LONG),
        6 => NewRecord::new(name).key(&LONG),
        _ => NewRecord::new(b"everything")
            .timestamp(moment)
            .schema_version(u32::MAX)
            .batch_count(0)
            .key(name)
            .header("h\u{e9}", name),
    }
}

/// A segment of single records, one that is compacted, and the newest, which
/// begins with a batch.
fn write_segments() -> Files {
    let storage = MemStorage::new();
    let options = WalOptions::default()
        .segment_bytes(16 << 10)
        .spare_segments_max(0);
    let wal = Wal::with_storage(Arc::new(storage.clone()), options).unwrap();
    for lsn in 0..COMPACTED.end {
        if lsn == COMPACTED.start {
            wal.rotate().unwrap();
        }
        wal.append_payload(&record(lsn)).unwrap();
    }
    wal.rotate().unwrap();
    let batch: Vec<_> = (60..64).map(record).collect();
    wal.append_batch(&batch).unwrap();
    let second = &wal.sealed()[1];
    let stays = |record: &log_wal::Record| STAYS.contains(&record.lsn().0);
    wal.compact_sealed(second, stays).unwrap().unwrap();
    wal.close().unwrap();
    storage.files()
}

/// The index files that a writer makes for these segments.
fn write_indexes(segments: &Files) -> Files {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in segments {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let options = StoreOptions::default().index_interval_bytes(INTERVAL_BYTES);
    let store = Store::open(directory.path(), options).unwrap();
    // Who reads a segment first has it indexed.
    assert!(store.iter().all(|record| record.is_ok()));
    drop(store);
    let mut files = read_files(directory.path());
    files.retain(|name, _| name.ends_with("index"));
    files
}

fn read_files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).expect("the golden files are there");
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let mut files = write_segments();
    files.extend(write_indexes(&files));
    if std::env::var_os("STRATA_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(golden_directory()).unwrap();
        for (name, bytes) in &files {
            fs::write(golden_directory().join(name), bytes).unwrap();
        }
    }
    let golden = read_files(&golden_directory());
    assert_eq!(golden.len(), 3 + 2 * 2, "two are sealed");
    assert!(golden.keys().eq(files.keys()));
    for (name, bytes) in &files {
        let pairs = bytes.iter().zip(&golden[name]);
        let differs = pairs.into_iter().position(|(now, then)| now != then);
        assert_eq!(differs, None, "{name}: the format has changed at this byte");
        assert_eq!(bytes.len(), golden[name].len(), "{name}");
    }
}

#[test]
fn version_1_is_read() {
    let reader = Reader::open(golden_directory()).unwrap();
    let expected: Vec<_> = (0..64)
        .filter(|lsn| !COMPACTED.contains(lsn) || STAYS.contains(lsn))
        .collect();
    let found: Vec<_> = reader.iter().map(Result::unwrap).collect();
    assert!(
        found
            .iter()
            .map(|it| it.lsn().0)
            .eq(expected.iter().copied())
    );
    for found in &found {
        let new = record(found.lsn().0);
        let mut bytes = vec![0; log_wal::Payload::len_bytes(&new)];
        log_wal::Payload::copy_to(&new, &mut bytes);
        let codec = log_wal::Payload::codec(&new);
        let expected: Record = Record::from_parts(found.lsn(), codec, bytes.into()).unwrap();
        assert_eq!(*found, expected);
        assert_eq!(reader.read(found.lsn()).unwrap().as_ref(), Some(found));
    }
    for moment in found.iter().filter_map(Record::timestamp) {
        let first = found.iter().find(|it| it.timestamp() >= Some(moment));
        let by_time = reader.lsn_at_or_after(moment).unwrap();
        assert_eq!(by_time, first.map(Record::lsn), "{moment}");
    }
    assert_eq!(reader.next_lsn(), Lsn(64));
    let report = reader.verify();
    assert!(report.is_sound(), "{:?}", report.damage);
    for index in report.indexes.iter().chain(&report.time_indexes) {
        let is_full = matches!(index.state, IndexState::Sound { entries } if entries > 2);
        assert!(is_full, "{}: {}", index.path.display(), index.state);
    }
}
