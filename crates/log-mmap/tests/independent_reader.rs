//! Another program takes our records apart: `docs/format-reader/strata_read.py`,
//! written from `docs/FORMAT.md`, shares no code with us. Where the two differ,
//! the document or one of the readers is wrong.
//!
//! Needs `python3`; says so on stderr where there is none.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use log_mmap::{NewRecord, Record, Store, StoreOptions, Timestamp};
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

/// As the other program prints a record.
fn as_json(record: &Record) -> String {
    let timestamp = record.timestamp().map(|timestamp| timestamp.0.to_string());
    let key = record.key().map(|key| format!("\"{}\"", hex(key)));
    let headers = record.headers();
    let headers: Vec<_> = headers
        .map(|(name, value)| format!("[\"{name}\", \"{}\"]", hex(value)))
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

#[test]
fn every_field_reads_the_same_there() {
    let directory = tempfile::tempdir().unwrap();
    make_log(directory.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = script.join("../../docs/format-reader/strata_read.py");
    let output = Command::new("python3")
        .arg(script)
        .arg("--fields")
        .arg(directory.path())
        .output();
    let Ok(output) = output else {
        // Not by `eprintln`, which the test harness keeps to itself.
        let said = writeln!(std::io::stderr(), "no python3: nothing was compared");
        return said.expect("stderr can be written");
    };
    assert!(output.status.success(), "{output:?}");
    let there = String::from_utf8(output.stdout).expect("JSON");
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    let read = |lsn| store.read(log_mmap::Lsn(lsn)).transpose();
    let here: Vec<_> = (0..store.next_lsn().0).filter_map(read).collect();
    assert_eq!(there.lines().count(), here.len());
    for (here, there) in here.iter().zip(there.lines()) {
        match here {
            Ok(record) => assert_eq!(there, as_json(record)),
            Err(error) => assert!(there.contains("undecodable"), "{error}: {there}"),
        }
    }
    assert_eq!(there.matches("undecodable").count(), 6);
}
