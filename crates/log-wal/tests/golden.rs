//! The format does not change behind our back: files of every version that was
//! ever written stay here and must be read, and today's files must be the same
//! to the byte as those of today's version.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{open, payload, payloads};
use log_wal::{Lsn, MemStorage, TailState, WalReader};

/// What the golden logs hold: single records of many lengths, a batch, a
/// rotation, sync marks, a record with a segment to itself, a closing mark.
fn write_log(storage: &MemStorage) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = (0..5).map(payload).collect();
    let wal = open(storage);
    for record in &records {
        wal.append(record).unwrap();
    }
    wal.sync().unwrap();
    let batch = [b"".to_vec(), b"in a batch".to_vec(), vec![0xFF; 100]];
    wal.append_batch(&batch.each_ref().map(Vec::as_slice))
        .unwrap();
    records.extend(batch);
    wal.rotate().unwrap();
    let long = (0..20_000_u32)
        .map(|byte| (byte % 251) as u8)
        .collect::<Vec<_>>();
    wal.append(&long).unwrap();
    wal.append(b"the last one").unwrap();
    records.extend([long, b"the last one".to_vec()]);
    wal.close().unwrap();
    records
}

fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn golden_files() -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(golden_directory()).expect("the golden files are there");
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let storage = MemStorage::new();
    write_log(&storage);
    let files = storage.files();
    if std::env::var_os("STRATA_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden_directory()).unwrap();
        for (name, bytes) in &files {
            std::fs::write(golden_directory().join(name), bytes).unwrap();
        }
    }
    let golden = golden_files();
    assert_eq!(
        golden.keys().collect::<Vec<_>>(),
        files.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &files {
        let differs = bytes
            .iter()
            .zip(&golden[name])
            .position(|(now, then)| now != then);
        assert_eq!(differs, None, "{name}: the format has changed at this byte");
        assert_eq!(bytes.len(), golden[name].len(), "{name}");
    }
}

#[test]
fn version_1_is_read() {
    let records = write_log(&MemStorage::new());
    let reader = WalReader::open(golden_directory()).unwrap();
    assert_eq!(reader.report().tail, TailState::Clean);
    assert_eq!(payloads(reader.iter_from(Lsn(0))), records);
    assert!(reader.verify().damage.is_empty());
}
