//! The envelope of a record: what was given is what is read, byte for byte as
//! it is drawn, and whatever else the bytes are, it is an error and nothing
//! worse.

use log_mmap::{EnvelopeFault, Lsn, NewRecord, Record, Timestamp};
use log_wal::{Codec, Payload};
use proptest::collection::vec;
use proptest::prelude::*;

/// The bits of the codec, as FORMAT.md has them.
const TIMESTAMP: u8 = 1;
const SCHEMA_VERSION: u8 = 2;
const BATCH_COUNT: u8 = 4;
const KEY: u8 = 8;
const HEADERS: u8 = 16;

fn encoded(record: &NewRecord<'_>) -> Vec<u8> {
    let mut bytes = vec![0xEE; record.len_bytes()];
    record.copy_to(&mut bytes);
    bytes
}

fn decoded(codec: u8, bytes: &[u8]) -> Result<Record, EnvelopeFault> {
    let codec = Codec::new(codec).expect("below 0x80");
    Record::from_parts(Lsn(7), codec, bytes.to_vec().into())
}

fn fault(codec: u8, bytes: &[u8]) -> Option<EnvelopeFault> {
    decoded(codec, bytes).err()
}

#[test]
fn the_layout_matches_the_drawing() {
    let record = NewRecord::new(b"payload")
        .header("ab", b"")
        .header("", b"xyz")
        .key(b"key")
        .batch_count(2)
        .schema_version(300)
        .timestamp(Timestamp(0x1122_3344_5566_7788));
    let bytes = encoded(&record);
    assert_eq!(
        bytes[0..8],
        [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
    );
    assert_eq!(bytes[8..10], [0xAC, 0x02], "schema version 300");
    assert_eq!(bytes[10], 2, "batch count");
    assert_eq!(&bytes[11..15], b"\x03key");
    assert_eq!(bytes[15], 2, "headers");
    assert_eq!(&bytes[16..20], b"\x02ab\x00");
    assert_eq!(&bytes[20..25], b"\x00\x03xyz");
    assert_eq!(&bytes[25..], b"payload");
    assert_eq!(record.envelope_bytes(), 25);
    assert_eq!(record.codec().number(), 0b1_1111);
}

#[test]
fn the_worked_example_of_the_document_is_what_is_written() {
    const FORMAT: &str = include_str!("../../../docs/FORMAT.md");
    let record = NewRecord::new(b"pay")
        .timestamp(Timestamp(123_456_789))
        .key(b"key")
        .header("h", b"v");
    assert_eq!(record.codec().number(), 0x19);
    let bytes = encoded(&record);
    for field in [&bytes[..8], &bytes[8..12], &bytes[12..17], &bytes[17..]] {
        let hex: Vec<_> = field.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!(" {}  ", hex.join(" "));
        assert!(FORMAT.contains(&line), "{line}");
    }
}

#[test]
fn a_record_with_nothing_in_front_of_its_payload_is_plain() {
    let record = NewRecord::new(b"bytes").schema_version(0).batch_count(1);
    assert_eq!(record.codec(), Codec::PLAIN);
    assert_eq!(encoded(&record), b"bytes");
    let read = decoded(0, b"bytes").unwrap();
    assert_eq!(read.payload(), b"bytes");
    assert_eq!(read.timestamp(), None);
    assert_eq!((read.key(), read.headers().count()), (None, 0));
    assert_eq!((read.schema_version(), read.batch_count()), (0, 1));
}

#[test]
fn a_timestamp_takes_eight_bytes_and_leaves_the_payload_aligned() {
    let record = NewRecord::new(&[7; 256]).timestamp(Timestamp(1));
    assert_eq!(record.len_bytes(), 8 + 256);
    assert_eq!(record.codec().number(), TIMESTAMP);
}

#[test]
fn an_empty_key_is_a_key() {
    let record = NewRecord::new(b"").key(b"");
    let bytes = encoded(&record);
    assert_eq!(bytes, [0]);
    assert_eq!(decoded(KEY, &bytes).unwrap().key(), Some(&b""[..]));
}

#[test]
fn fields_of_a_later_version_are_not_guessed_at() {
    for codec in [0x20, 0x40, 0x21, 0x7F] {
        let found = fault(codec, &[0; 64]);
        assert_eq!(found, Some(EnvelopeFault::UnknownFields), "{codec:#x}");
    }
}

#[test]
fn a_field_beyond_the_record_is_refused() {
    let cut: [(u8, &[u8]); 9] = [
        (TIMESTAMP, &[0; 7]),
        (SCHEMA_VERSION, &[]),
        (SCHEMA_VERSION, &[0x80]),
        (TIMESTAMP | BATCH_COUNT, &[0; 8]),
        (KEY, &[5, 1, 2, 3, 4]),
        (KEY, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1]),
        (HEADERS, &[1, 0]),
        (HEADERS, &[1, 0, 2, 9]),
        (HEADERS, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0]),
    ];
    for (codec, bytes) in cut {
        let found = fault(codec, bytes);
        assert_eq!(found, Some(EnvelopeFault::Cut), "{codec:#x} {bytes:x?}");
    }
}

#[test]
fn what_is_not_written_in_the_one_way_is_refused() {
    let others: [(u8, &[u8]); 6] = [
        (SCHEMA_VERSION, &[0]),
        (SCHEMA_VERSION, &[0x81, 0x00]),
        (SCHEMA_VERSION, &[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]),
        (BATCH_COUNT, &[1]),
        (KEY, &[0x80, 0x00]),
        (HEADERS, &[0]),
    ];
    for (codec, bytes) in others {
        let found = fault(codec, bytes);
        assert_eq!(found, Some(EnvelopeFault::NotCanonical), "{bytes:x?}");
    }
    let found = fault(HEADERS, &[1, 1, 0xFF, 0]);
    assert_eq!(found, Some(EnvelopeFault::Name));
}

/// What can be given.
#[derive(Clone, Debug)]
struct Given {
    timestamp: Option<u64>,
    schema_version: u32,
    batch_count: u32,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Given {
    fn record(&self) -> NewRecord<'_> {
        let mut record = NewRecord::new(&self.payload)
            .schema_version(self.schema_version)
            .batch_count(self.batch_count);
        if let Some(timestamp) = self.timestamp {
            record = record.timestamp(Timestamp(timestamp));
        }
        if let Some(key) = &self.key {
            record = record.key(key);
        }
        let headers = self.headers.iter();
        headers.fold(record, |record, (name, value)| record.header(name, value))
    }

    fn assert_is(&self, read: &Record) {
        assert_eq!(read.payload(), self.payload);
        assert_eq!(read.timestamp(), self.timestamp.map(Timestamp));
        assert_eq!(read.schema_version(), self.schema_version);
        assert_eq!(read.batch_count(), self.batch_count);
        assert_eq!(read.key(), self.key.as_deref());
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
        assert!(read.headers().eq(headers));
        assert_eq!(read.clone().into_payload(), self.payload);
    }
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..3_u32, 120..140_u32, any::<u32>()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..5), vec(any::<u8>(), 120..140)]
}

fn given() -> impl Strategy<Value = Given> {
    let timestamp = prop::option::of(any::<u64>());
    let key = prop::option::of(bytes());
    let headers = vec((".{0,3}", bytes()), 0..4);
    (timestamp, number(), number(), key, headers, bytes()).prop_map(
        |(timestamp, schema_version, batch_count, key, headers, payload)| Given {
            timestamp,
            schema_version,
            batch_count,
            key,
            headers,
            payload,
        },
    )
}

/// Reads everything that a record has.
fn read_all(record: &Record) -> NewRecord<'_> {
    let mut again = NewRecord::new(record.payload())
        .schema_version(record.schema_version())
        .batch_count(record.batch_count());
    if let Some(timestamp) = record.timestamp() {
        again = again.timestamp(timestamp);
    }
    if let Some(key) = record.key() {
        again = again.key(key);
    }
    let headers = record.headers();
    headers.fold(again, |again, (name, value)| again.header(name, value))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_was_given_is_what_is_read(given in given()) {
        let record = given.record();
        let bytes = encoded(&record);
        let read = decoded(record.codec().number(), &bytes).unwrap();
        given.assert_is(&read);
        prop_assert_eq!(bytes.len() - given.payload.len(), record.envelope_bytes());
    }

    #[test]
    fn a_cut_envelope_is_refused(given in given(), kept in any::<prop::sample::Index>()) {
        let record = given.record();
        let bytes = encoded(&record);
        let kept = kept.index(record.envelope_bytes() + 1);
        if kept < record.envelope_bytes() {
            let found = fault(record.codec().number(), &bytes[..kept]);
            prop_assert_eq!(found, Some(EnvelopeFault::Cut));
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_the_one_way_to_write_what_they_say(
        codec in 0..0x80_u8,
        bytes in vec(prop_oneof![0..4_u8, any::<u8>()], 0..40),
    ) {
        if let Ok(read) = decoded(codec, &bytes) {
            let again = read_all(&read);
            prop_assert_eq!(again.codec().number(), codec);
            prop_assert_eq!(encoded(&again), bytes);
        }
    }
}
