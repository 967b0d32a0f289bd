//! Verbs that the tests share.
#![allow(dead_code, reason = "each test file uses some of them")]

pub(crate) mod mapped;
pub(crate) mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use log_wal::{
    AppendError, Codec, Lsn, MemStorage, OpenError, Payload, Wal, WalOptions, WalReader,
};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Small segments, so that a few records fill one; and no spare files, so that
/// every call to the disk is one that records depend on.
pub(crate) fn small() -> WalOptions {
    with_spares().spare_segments_max(0)
}

/// The same with spare files.
pub(crate) fn with_spares() -> WalOptions {
    WalOptions::default().segment_bytes(16 << 10)
}

pub(crate) fn open(storage: &MemStorage) -> Wal {
    Wal::with_storage(Arc::new(storage.clone()), small()).expect("the log opens")
}

pub(crate) fn try_open(files: &Files) -> Result<Wal, OpenError> {
    let storage = MemStorage::with_files(files.clone());
    Wal::with_storage(Arc::new(storage), small())
}

pub(crate) fn try_open_read_only(files: &Files) -> Result<WalReader, OpenError> {
    WalReader::with_storage(Arc::new(MemStorage::with_files(files.clone())))
}

/// A payload that says which record it is, of a length that varies with it.
pub(crate) fn payload(lsn: u64) -> Vec<u8> {
    let mut payload = format!("record {lsn} ").into_bytes();
    payload.extend((0..lsn % 97).map(|byte| byte as u8));
    payload
}

/// Appends records `from..to`.
pub(crate) fn append(wal: &Wal, from: u64, to: u64) {
    try_append(wal, from, to).expect("appended");
}

/// The same until an append fails.
pub(crate) fn try_append(wal: &Wal, from: u64, to: u64) -> Result<(), AppendError> {
    for lsn in from..to {
        assert_eq!(wal.append(&payload(lsn))?, Lsn(lsn));
    }
    Ok(())
}

/// Every record of an iterator, which must not meet an error.
pub(crate) fn payloads(iter: log_wal::Iter) -> Vec<Vec<u8>> {
    let records = iter.map(|record| record.expect("readable"));
    records.map(|record| record.payload().to_vec()).collect()
}

/// How many records a log has, all of which must be the right ones in order.
pub(crate) fn count_of_prefix(iter: log_wal::Iter) -> u64 {
    let found = payloads(iter);
    for (lsn, found) in found.iter().enumerate() {
        assert_eq!(found, &payload(lsn as u64), "INV-W3: record {lsn}");
    }
    found.len() as u64
}

/// The newest segment file.
pub(crate) fn newest(files: &Files) -> String {
    files.keys().max().expect("a file").clone()
}

/// Bytes under a codec.
pub(crate) struct Coded<'a>(pub u8, pub &'a [u8]);

impl Payload for Coded<'_> {
    fn len_bytes(&self) -> usize {
        self.1.len()
    }

    fn copy_to(&self, place: &mut [u8]) {
        place.copy_from_slice(self.1);
    }

    fn codec(&self) -> Codec {
        Codec::new(self.0).expect("below 0x80")
    }
}
