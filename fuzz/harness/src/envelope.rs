//! Target `envelope`: whatever the bytes of a record are, taking them apart is
//! an error that says why, or gives fields that are written as the same bytes;
//! and what was written is read back.

use log_mmap::{EnvelopeFault, Lsn, NewRecord, Record, Timestamp};
use log_wal::{Codec, Payload};
use serde::{Deserialize, Serialize};

use crate::script::{self, Script};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A record with these fields is written.
    Build(Fields),
    /// Any bytes come instead.
    Bytes(Vec<u8>),
    /// And any codec.
    Codec(u8),
    /// A byte becomes another one.
    Put(u16, u8),
    Insert(u16, Vec<u8>),
    Cut(u16),
    Extend(Vec<u8>),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fields {
    timestamp: Option<u64>,
    schema_version: u32,
    batch_count: u32,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

/// No record is made longer.
const RECORD_BYTES_MAX: usize = 1 << 16;

const LSN: Lsn = Lsn(7);

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let (mut codec, mut record) = (Codec::PLAIN, Vec::new());
    for step in script::read(bytes) {
        match step {
            Step::Build(fields) => (codec, record) = build(&fields),
            Step::Bytes(bytes) => record = bytes,
            Step::Codec(number) => codec = Codec::new(number & 0x7F).unwrap_or(Codec::PLAIN),
            Step::Put(at, value) => {
                if let Some(byte) = record.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
            Step::Insert(at, bytes) => {
                let at = usize::from(at).min(record.len());
                record.splice(at..at, bytes);
            }
            Step::Cut(kept) => record.truncate(kept.into()),
            Step::Extend(bytes) => record.extend(bytes),
        }
        record.truncate(RECORD_BYTES_MAX);
        check(codec, &record);
    }
}

/// Writes a record, which must be read as it was given.
fn build(fields: &Fields) -> (Codec, Vec<u8>) {
    let mut new = NewRecord::new(&fields.payload)
        .schema_version(fields.schema_version)
        .batch_count(fields.batch_count);
    if let Some(timestamp) = fields.timestamp {
        new = new.timestamp(Timestamp(timestamp));
    }
    if let Some(key) = &fields.key {
        new = new.key(key);
    }
    for (name, value) in &fields.headers {
        new = new.header(name, value);
    }
    let (codec, bytes) = written(&new);
    let record = decoded(codec, &bytes);
    let record = record.unwrap_or_else(|fault| panic!("{fields:?}: {fault}"));
    assert_eq!(record.timestamp(), fields.timestamp.map(Timestamp));
    assert_eq!(record.schema_version(), fields.schema_version);
    assert_eq!(record.batch_count(), fields.batch_count);
    assert_eq!(record.key(), fields.key.as_deref());
    let headers = fields.headers.iter();
    assert!(
        record
            .headers()
            .eq(headers.map(|(name, value)| (&**name, &**value)))
    );
    assert_eq!(record.payload(), fields.payload);
    (codec, bytes)
}

fn written(new: &NewRecord<'_>) -> (Codec, Vec<u8>) {
    let mut bytes = vec![0; new.len_bytes()];
    new.copy_to(&mut bytes);
    (new.codec(), bytes)
}

fn decoded(codec: Codec, bytes: &[u8]) -> Result<Record, EnvelopeFault> {
    Record::from_parts(LSN, codec, bytes.to_vec().into())
}

/// Takes the bytes apart, and puts them together again.
fn check(codec: Codec, bytes: &[u8]) {
    let record = match decoded(codec, bytes) {
        Ok(record) => record,
        Err(fault) => return check_fault(codec, bytes, fault),
    };
    let mut new = NewRecord::new(record.payload())
        .schema_version(record.schema_version())
        .batch_count(record.batch_count());
    if let Some(timestamp) = record.timestamp() {
        new = new.timestamp(timestamp);
    }
    if let Some(key) = record.key() {
        new = new.key(key);
    }
    for (name, value) in record.headers() {
        new = new.header(name, value);
    }
    assert_eq!(
        written(&new),
        (codec, bytes.to_vec()),
        "one way to write it"
    );
    let payload = record.payload().to_vec();
    assert_eq!(record.into_payload(), payload);
}

/// A record is not refused for nothing.
fn check_fault(codec: Codec, bytes: &[u8], fault: EnvelopeFault) {
    const KNOWN_FIELDS: u8 = 0b1_1111;
    let is_unknown = codec.number() & !KNOWN_FIELDS != 0;
    assert_eq!(fault == EnvelopeFault::UnknownFields, is_unknown);
    assert_ne!(codec, Codec::PLAIN, "plain bytes are any bytes");
    if fault == EnvelopeFault::Cut {
        // Of a field that goes beyond the record a part is missing: so some
        // shorter record would be refused for the same reason.
        let shorter = &bytes[..bytes.len().saturating_sub(1)];
        let shorter = decoded(codec, shorter);
        assert_eq!(shorter.err(), Some(EnvelopeFault::Cut));
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        use Step::{Build, Bytes, Codec, Cut, Extend, Insert, Put};
        let some = || Fields { payload: b"payload".to_vec(), batch_count: 1, ..Fields::default() };
        let all = || Fields {
            timestamp: Some(123_456_789),
            schema_version: 300,
            batch_count: 2,
            key: Some(b"key".to_vec()),
            headers: vec![("ab".to_owned(), Vec::new()), (String::new(), b"xyz".to_vec())],
            payload: b"payload".to_vec(),
        };
        vec![
            ("plain",          vec![Build(some())]),
            ("everything",     vec![Build(all())]),
            ("timestamp",      vec![Build(Fields { timestamp: Some(u64::MAX), ..some() }), Cut(8), Cut(7)]),
            ("schema_version", vec![Build(Fields { schema_version: u32::MAX, ..some() }), Put(4, 0x1F)]),
            ("no_schema",      vec![Codec(2), Bytes(vec![0])]),
            ("batch_count",    vec![Build(Fields { batch_count: 0, ..some() }), Put(0, 1)]),
            ("empty_key",      vec![Build(Fields { key: Some(Vec::new()), ..some() })]),
            ("long_key",       vec![Build(Fields { key: Some(vec![0xAB; 300]), ..some() }), Cut(301), Extend(vec![1])]),
            ("key_is_cut",     vec![Build(all()), Cut(14)]),
            ("header_is_cut",  vec![Build(all()), Cut(19)]),
            ("headers_none",   vec![Codec(16), Bytes(vec![0])]),
            ("headers_many",   vec![Codec(16), Bytes(vec![0xFF, 0xFF, 0xFF, 0xFF, 0x0F])]),
            ("name_no_text",   vec![Codec(16), Bytes(vec![1, 1, 0xFF, 0])]),
            ("long_number",    vec![Codec(8), Bytes(vec![0x80, 0x00]), Insert(0, vec![0x80])]),
            ("no_end",         vec![Codec(4), Bytes(vec![0x80; 9])]),
            ("other_codec",    vec![Build(all()), Codec(15), Codec(1), Codec(0)]),
            ("unknown_codec",  vec![Build(all()), Codec(32), Codec(127)]),
            ("nothing",        vec![Codec(31), Bytes(Vec::new())]),
        ]
    }
}
