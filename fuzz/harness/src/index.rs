//! Target `index`: whatever stands in place of an index file, every record is
//! found as it was appended (`INV-M3`), and the writer puts a good index in
//! place of one that cannot be used.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use log_mmap::{
    IndexState, Lsn, ReadError, Reader, Record, Records, Store, StoreOptions, WalOptions,
};
use serde::{Deserialize, Serialize};

use crate::script::{self, Script};

const RECORDS: u64 = 24;

/// Where the checksum of an index is.
pub(crate) const CRC: std::ops::Range<usize> = 60..64;
pub(crate) const FIRST_ENTRY: usize = 64;

/// No index is made longer.
pub(crate) const INDEX_BYTES_MAX: usize = 4096;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Four bytes become others.
    Put {
        at: u16,
        value: u32,
    },
    /// An entry says that its record is another one, or lies elsewhere.
    Move {
        entry: u8,
        ahead: i8,
        units: i8,
    },
    /// An entry is gone, or there twice, with the count put right.
    Remove(u8),
    Repeat(u8),
    Cut(u16),
    Extend(Vec<u8>),
    /// Something else altogether.
    Bytes(Vec<u8>),
    /// There is no file.
    Missing,
    /// The checksum is left as it is.
    BadChecksum,
    /// A writer opens the log too.
    Write,
}

/// A log of two segments, and the name of an index of the first.
#[derive(Debug)]
pub(crate) struct Log {
    files: BTreeMap<String, Vec<u8>>,
    index: String,
}

impl Log {
    /// Reads what is in a directory.
    pub(crate) fn read(directory: &Path, extension: &str) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, fs::read(entry.path())?);
        }
        let is_index = |name: &&String| name.ends_with(extension);
        let index = files.keys().find(is_index).cloned();
        let index = index.ok_or_else(|| io::Error::other("a sealed segment has no index"))?;
        Ok(Self { files, index })
    }

    pub(crate) fn index_bytes(&self) -> &[u8] {
        &self.files[&self.index]
    }

    /// Writes it, with other bytes in place of its index, or none.
    pub(crate) fn write(&self, directory: &Path, index: Option<&[u8]>) -> io::Result<()> {
        for (name, bytes) in &self.files {
            match index {
                Some(index) if *name == self.index => fs::write(directory.join(name), index)?,
                None if *name == self.index => {}
                _ => fs::write(directory.join(name), bytes)?,
            }
        }
        Ok(())
    }

    /// What stands in place of its index there.
    pub(crate) fn index_in(&self, directory: &Path) -> Option<Vec<u8>> {
        fs::read(directory.join(&self.index)).ok()
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| make_log().expect("a temporary directory works"));

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let steps: Vec<Step> = script::read(bytes);
    let mut index = Some(LOG.index_bytes().to_vec());
    let (mut checksum_is_right, mut writes) = (true, false);
    for step in steps {
        match step {
            Step::BadChecksum => checksum_is_right = false,
            Step::Write => writes = true,
            Step::Missing => index = None,
            other => change(other, index.get_or_insert_default()),
        }
    }
    if let Some(index) = &mut index
        && checksum_is_right
    {
        finish(index);
    }
    check(index.as_deref(), writes).expect("a temporary directory works");
}

fn make_log() -> io::Result<Log> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path(), options()).map_err(io::Error::other)?;
    for lsn in 0..RECORDS {
        if lsn == RECORDS - 4 {
            store.rotate().map_err(io::Error::other)?;
        }
        store.append(&payload(lsn)).map_err(io::Error::other)?;
    }
    store.close().map_err(io::Error::other)?;
    Log::read(directory.path(), ".index")
}

/// Every record has an entry, and then every other one.
fn options() -> StoreOptions {
    let wal = WalOptions::default().segment_bytes(16 << 10);
    StoreOptions::default().wal(wal).index_interval_bytes(0)
}

fn payload(lsn: u64) -> Vec<u8> {
    vec![lsn as u8; (lsn * 37 % 90) as usize]
}

fn change(step: Step, index: &mut Vec<u8>) {
    let entries = index.len().saturating_sub(FIRST_ENTRY) / 8;
    let place =
        |entry: u8| (entries > 0).then(|| FIRST_ENTRY + 8 * (usize::from(entry) % entries.max(1)));
    match step {
        Step::Put { at, value } => put(index, usize::from(at), |_| value),
        Step::Move {
            entry,
            ahead,
            units,
        } => {
            if let Some(at) = place(entry) {
                put(index, at, |old| old.wrapping_add_signed(ahead.into()));
                put(index, at + 4, |old| old.wrapping_add_signed(units.into()));
            }
        }
        Step::Remove(entry) => {
            if let Some(at) = place(entry) {
                index.drain(at..at + 8);
                put(index, CRC.start - 4, |count| count.wrapping_sub(1));
            }
        }
        Step::Repeat(entry) => {
            if let Some(at) = place(entry)
                && index.len() < INDEX_BYTES_MAX
            {
                let twice = index[at..at + 8].to_vec();
                index.splice(at..at, twice);
                put(index, CRC.start - 4, |count| count.wrapping_add(1));
            }
        }
        Step::Cut(kept) => index.truncate(kept.into()),
        Step::Extend(bytes) => {
            index.extend(bytes);
            index.truncate(INDEX_BYTES_MAX);
        }
        Step::Bytes(bytes) => *index = bytes,
        Step::Missing | Step::BadChecksum | Step::Write => {}
    }
}

pub(crate) fn put(index: &mut [u8], at: usize, value: impl FnOnce(u32) -> u32) {
    if let Some(field) = index.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value(u32::from_le_bytes(*field)).to_le_bytes();
    }
}

/// Makes the checksum right.
pub(crate) fn finish(index: &mut [u8]) {
    if index.len() < CRC.end {
        return;
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index[..CRC.start]);
    hasher.update(&index[CRC.end..]);
    index[CRC].copy_from_slice(&hasher.finalize().to_le_bytes());
}

fn check(index: Option<&[u8]>, writes: bool) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    LOG.write(directory.path(), index)?;
    let state = check_reader(directory.path());
    let left = LOG.index_in(directory.path());
    assert_eq!(left.as_deref(), index, "a reader writes nothing");
    if writes {
        check_writer(directory.path(), state);
    }
    Ok(())
}

fn check_reader(directory: &Path) -> IndexState {
    let reader = Reader::open(directory).expect("an index decides nothing");
    check_complete(|lsn| reader.read(lsn), |lsn| reader.iter_from(lsn));
    let report = reader.verify();
    assert!(report.is_sound(), "{:?}", report.damage);
    report.indexes[0].state
}

fn check_writer(directory: &Path, before: IndexState) {
    let store = Store::open(directory, options()).expect("an index decides nothing");
    check_complete(|lsn| store.read(lsn), |lsn| store.iter_from(lsn));
    drop(store);
    let after = check_reader(directory);
    let is_sound = matches!(after, IndexState::Sound { .. });
    assert!(
        is_sound || !matches!(before, IndexState::Unusable(_)),
        "{before} became {after}"
    );
}

/// Every record is there, one by one from the last, and in order.
fn check_complete<'a>(
    read: impl Fn(Lsn) -> Result<Option<Record>, ReadError>,
    iter_from: impl Fn(Lsn) -> Records<'a>,
) {
    for lsn in (0..RECORDS).rev() {
        let record = read(Lsn(lsn)).expect("an index decides nothing");
        let found = record
            .as_ref()
            .map(|record| (record.lsn(), record.payload()));
        assert_eq!(found, Some((Lsn(lsn), &payload(lsn)[..])), "INV-M3");
    }
    for first in [0, RECORDS / 3] {
        let mut next = first;
        for record in iter_from(Lsn(first)) {
            let record = record.expect("an index decides nothing");
            assert_eq!(
                (record.lsn(), record.payload()),
                (Lsn(next), &payload(next)[..]),
                "INV-M3"
            );
            next += 1;
        }
        assert_eq!(next, RECORDS, "INV-M3");
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        use Step::{BadChecksum, Bytes, Cut, Extend, Missing, Move, Put, Remove, Repeat, Write};
        let put = |at, value| Put { at, value };
        vec![
            ("sound",          vec![Write]),
            ("missing",        vec![Missing, Write]),
            ("moved_entry",    vec![Move { entry: 3, ahead: 0, units: 1 }, Write]),
            ("moved_record",   vec![Move { entry: 3, ahead: 1, units: 0 }]),
            ("to_a_payload",   vec![Move { entry: 5, ahead: 0, units: 2 }, Move { entry: 6, ahead: -1, units: 0 }]),
            ("sparser",        vec![Remove(3), Remove(3), Remove(7)]),
            ("no_first_entry", vec![Remove(0)]),
            ("repeated",       vec![Repeat(2), Write]),
            ("cut",            vec![Cut(90), Write]),
            ("cut_header",     vec![Cut(63), Write]),
            ("empty",          vec![Cut(0), Write]),
            ("too_long",       vec![Extend(vec![0xFF; 40]), Write]),
            ("bad_checksum",   vec![put(70, 9), BadChecksum, Write]),
            ("magic",          vec![put(0, 9)]),
            ("version",        vec![put(8, 2)]),
            ("interval",       vec![put(12, 4096)]),
            ("other_log",      vec![put(16, 9)]),
            ("other_segment",  vec![put(32, 9)]),
            ("stale",          vec![put(40, 9), Write]),
            ("base",           vec![put(48, 1)]),
            ("count",          vec![put(56, u32::MAX)]),
            ("far_away",       vec![put(64, u32::MAX), put(68, u32::MAX)]),
            ("text",           vec![Bytes(b"not an index".to_vec()), BadChecksum, Write]),
        ]
    }
}
