//! Another program takes our records apart: `docs/format-reader/strata_read.py`,
//! written from `docs/FORMAT.md`, shares no code with us. Where the two differ,
//! the document or one of the readers is wrong.
//!
//! Needs `python3`; says so on stderr where there is none.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use log_mmap::{IndexState, NewRecord, Reader, Record, Store, StoreOptions, Timestamp};
use log_wal::{Codec, Payload};

/// What is in no version, or not written in the one way.
struct Strange(u8, &'static [u8]);

impl Payload for Strange {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("memory");
        hex
    })
}

/// As JSON has it in ASCII, for what the tests write.
fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => format!("\\u{:04x}", u32::from(letter)),
    };
    text.chars().map(escape).collect()
}

/// As the other program prints a record.
fn as_json(record: &Record) -> String {
    let timestamp = record.timestamp().map(|timestamp| timestamp.0.to_string());
    let key = record.key().map(|key| format!("\"{}\"", hex(key)));
    let headers = record.headers();
    let headers: Vec<_> = headers
        .map(|(name, value)| format!("[\"{}\", \"{}\"]", escaped(name), hex(value)))
        .collect();
    format!(
        "{{\"lsn\": {}, \"timestamp\": {}, \"schema_version\": {}, \"batch_count\": {}, \
         \"key_hex\": {}, \"headers\": [{}], \"payload_hex\": \"{}\"}}",
        record.lsn(),
        timestamp.as_deref().unwrap_or("null"),
        record.schema_version(),
        record.batch_count(),
        key.as_deref().unwrap_or("null"),
        headers.join(", "),
        hex(record.payload())
    )
}

fn make_log(directory: &Path) {
    let store = Store::open(directory, StoreOptions::default()).unwrap();
    let long = [0xAB; 300];
    store.append(b"plain").unwrap();
    let records = [
        NewRecord::new(b"").timestamp(Timestamp(u64::MAX)),
        NewRecord::new(b"with a key").key(b""),
        NewRecord::new(&long).key(&long).schema_version(u32::MAX),
    ];
    store.append_records(&records).unwrap();
    store.rotate().unwrap();
    let everything = NewRecord::new(b"payload")
        .timestamp(Timestamp(1))
        .schema_version(127)
        .batch_count(128)
        .key(b"key")
        .header("", b"")
        .header("name", &long);
    store.append_record(&everything).unwrap();
    // And a segment that lost all but one of its records.
    store.rotate().unwrap();
    for _ in 0..50 {
        let record = NewRecord::new(&long).key(b"again and again");
        store.append_record(&record).unwrap();
    }
    store.rotate().unwrap();
    let report = store.compact_before(store.next_lsn(), |_| true).unwrap();
    assert_eq!(report.dropped_records, 49);
    store.close().unwrap();
    let wal = log_wal::Wal::open(directory).unwrap();
    for strange in [
        Strange(0x40, b""),
        Strange(0x01, b"short"),
        Strange(0x02, &[0x80, 0x00]),
        Strange(0x04, &[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]),
        Strange(0x08, &[9]),
        Strange(0x10, &[1, 1, 0xFF, 0]),
    ] {
        wal.append_payload(&strange).unwrap();
    }
    wal.close().unwrap();
}

/// What the other program prints; `None` where there is no `python3`.
fn ask(option: &str, directory: &Path) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = script.join("../../docs/format-reader/strata_read.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(option)
        .arg(directory)
        .output();
    let Ok(output) = output else {
        // Not by `eprintln`, which the test harness keeps to itself.
        let said = writeln!(std::io::stderr(), "no python3: nothing was compared");
        said.expect("stderr can be written");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("JSON"))
}

fn check_fields(directory: &Path, undecodable: usize) {
    let Some(there) = ask("--fields", directory) else {
        return;
    };
    let reader = Reader::open(directory).unwrap();
    let read = |lsn| reader.read(log_mmap::Lsn(lsn)).transpose();
    let here: Vec<_> = (0..reader.next_lsn().0).filter_map(read).collect();
    assert_eq!(there.lines().count(), here.len());
    for (here, there) in here.iter().zip(there.lines()) {
        match here {
            Ok(record) => assert_eq!(there, as_json(record)),
            Err(error) => assert!(there.contains("undecodable"), "{error}: {there}"),
        }
    }
    assert_eq!(there.matches("undecodable").count(), undecodable);
}

/// The other program says of each index file what our own check says.
fn check_indexes(directory: &Path) {
    let Some(there) = ask("--indexes", directory) else {
        return;
    };
    let report = Reader::open(directory).unwrap().verify();
    let both = report.indexes.iter().zip(&report.time_indexes);
    let ours = both.flat_map(|(by_number, by_time)| [by_number, by_time]);
    assert_eq!(there.lines().count(), 2 * report.indexes.len());
    for (ours, there) in ours.zip(there.lines()) {
        let name = ours.path.file_name().unwrap().to_str().unwrap();
        assert!(there.contains(name), "{name}: {there}");
        let says_sound = there.contains("\"sound\": true");
        let is_sound = matches!(ours.state, IndexState::Sound { .. });
        assert_eq!(says_sound, is_sound, "{}: {there}", ours.state);
    }
}

#[test]
fn every_field_reads_the_same_there() {
    let directory = tempfile::tempdir().unwrap();
    make_log(directory.path());
    check_fields(directory.path(), 6);
}

#[test]
fn every_index_reads_the_same_there_damaged_or_not() {
    let directory = tempfile::tempdir().unwrap();
    make_log(directory.path());
    // By number and by time, of all that is sealed.
    let options = StoreOptions::default().index_interval_bytes(100);
    let store = Store::open(directory.path(), options).unwrap();
    // Who reads a segment first has it indexed.
    assert!(store.iter().count() > 0);
    drop(store);
    check_indexes(directory.path());
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_index = |path: &PathBuf| path.extension().is_some_and(|it| it != "log");
    let read = |path: PathBuf| (std::fs::read(&path).unwrap(), path);
    let indexes: Vec<_> = paths.filter(is_index).map(read).collect();
    // A byte of each field of the header, of the first entry, and the last.
    for at in [0, 8, 12, 16, 32, 40, 48, 56, 60, 64, 70, 75, usize::MAX] {
        for has_right_checksum in [false, true] {
            for (good, path) in &indexes {
                let bytes = with_a_flip(good, at, has_right_checksum);
                std::fs::write(path, bytes).unwrap();
            }
            check_indexes(directory.path());
        }
    }
}

fn with_a_flip(index: &[u8], at: usize, has_right_checksum: bool) -> Vec<u8> {
    let mut bytes = index.to_vec();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 0x10;
    if has_right_checksum && !(60..64).contains(&at) {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..60]);
        hasher.update(&bytes[64..]);
        bytes[60..64].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
    bytes
}

#[test]
fn the_golden_log_reads_the_same_there() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    check_fields(&golden, 0);
    check_indexes(&golden);
}
