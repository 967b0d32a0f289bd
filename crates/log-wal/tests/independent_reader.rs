//! Another program reads our logs: `docs/format-reader/strata_read.py`, which
//! was written from `docs/FORMAT.md` and shares no code with us. Where the two
//! differ, the document or one of the readers is wrong.
//!
//! Needs `python3`; says so on stderr where there is none.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Coded, Files, append, newest, open, payload};
use log_wal::{Lsn, MemStorage, Wal, WalReader};

/// What a reader makes of a log: its records in order, and whether it found
/// it sound. A damaged log yields the records in front of the damage.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    /// Number, codec, payload.
    records: Vec<(u64, u8, Vec<u8>)>,
    sound: bool,
}

/// `None` if the log cannot be opened.
fn read_here(directory: &Path) -> Option<Reading> {
    let reader = WalReader::open(directory).ok()?;
    let mut records = Vec::new();
    for record in reader.iter() {
        match record {
            Ok(record) => {
                let payload = record.payload().to_vec();
                records.push((record.lsn().0, record.codec().number(), payload));
            }
            Err(_) => {
                return Some(Reading {
                    records,
                    sound: false,
                });
            }
        }
    }
    Some(Reading {
        records,
        sound: true,
    })
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format-reader/strata_read.py")
}

fn has_python() -> bool {
    let version = Command::new("python3").arg("--version").output();
    let found = version.is_ok_and(|output| output.status.success());
    if !found {
        // Not by `eprintln`, which the test harness keeps to itself.
        let said = writeln!(
            std::io::stderr(),
            "no python3: the independent reader was not compared"
        );
        said.expect("stderr can be written");
    }
    found
}

fn read_there(directory: &Path) -> Reading {
    let output = Command::new("python3")
        .args([script().as_os_str(), "--json".as_ref(), directory.as_ref()])
        .output()
        .expect("python3 runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Python itself ends with 1 when a program fails.
    assert!(!stderr.contains("Traceback"), "{stderr}");
    let stdout = String::from_utf8(output.stdout).expect("JSON");
    Reading {
        records: stdout.lines().map(parse_record).collect(),
        sound: output.status.code() == Some(0),
    }
}

/// `{"lsn": 0, "codec": 0, "payload_hex": "6869"}`
fn parse_record(line: &str) -> (u64, u8, Vec<u8>) {
    let parsed = line
        .strip_prefix("{\"lsn\": ")
        .and_then(|rest| rest.strip_suffix("\"}"))
        .and_then(|rest| rest.split_once(", \"payload_hex\": \""));
    let (numbers, hex) = parsed.unwrap_or_else(|| panic!("not a record: {line}"));
    let (lsn, codec) = numbers.split_once(", \"codec\": ").expect("both");
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    let payload = (0..hex.len()).step_by(2).map(byte).collect();
    let number = lsn.parse().expect("a number");
    (number, codec.parse().expect("a codec"), payload)
}

fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Writes files to a directory, where both can read them.
fn on_disk(files: &Files) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).expect("written");
    }
    directory
}

/// Batches, codecs, marks, rotations, a segment of its own size, a given-up record, a
/// torn batch that was cut, a truncation through a batch, and a newest segment
/// whose last group nothing proves.
fn varied_log() -> Files {
    let storage = MemStorage::new();
    let mut wal = open(&storage);
    append(&wal, 0, 6);
    wal.append_payload(&Coded(0x7F, &payload(6))).unwrap();
    let batch: Vec<_> = (7..12).map(payload).collect();
    let slices: Vec<_> = batch.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    wal.sync().unwrap();
    append(&wal, 12, 300); // fills more than one segment
    wal.append(&vec![0xA5; 40_000]).unwrap(); // too long for those
    wal.rotate().unwrap();
    wal.append_batch(&slices).unwrap(); // 301 to 306
    wal.rotate().unwrap();
    wal.append(b"to be discarded").unwrap();
    wal.truncate_after(Lsn(303)).unwrap();
    give_up_a_record(&wal);
    wal.sync().unwrap();
    wal.append_batch(&slices).unwrap();
    wal.flush().unwrap();
    let mut torn = storage.files();
    drop(wal);
    let file = torn.get_mut(&newest(&torn)).unwrap();
    let used = file.iter().rposition(|byte| *byte != 0).unwrap();
    file[used] ^= 1; // the last record of the batch
    cut_and_continued(torn)
}

fn give_up_a_record(wal: &Wal) {
    let given_up = std::panic::AssertUnwindSafe(|| {
        wal.append_in_place(100, |_| panic!("given up by the test"))
            .map(|(lsn, ())| lsn)
    });
    assert!(std::panic::catch_unwind(given_up).is_err());
}

fn cut_and_continued(torn: Files) -> Files {
    let storage = MemStorage::with_files(torn);
    let wal = open(&storage);
    assert_eq!(wal.next_lsn(), Lsn(304), "the batch was cut, whole");
    wal.append(b"behind the cut").unwrap();
    wal.sync().unwrap();
    wal.append(b"carries a mark").unwrap();
    wal.append(b"the last").unwrap();
    wal.flush().unwrap();
    let files = storage.files();
    drop(wal);
    files
}

#[test]
fn the_golden_log_reads_the_same_there() {
    if !has_python() {
        return;
    }
    let here = read_here(&golden_directory()).expect("it opens");
    assert!(here.sound && here.records.len() == 10);
    assert_eq!(read_there(&golden_directory()), here);
}

#[test]
fn batches_rotations_cuts_and_long_records_read_the_same_there() {
    if !has_python() {
        return;
    }
    let files = varied_log();
    assert!(files.len() >= 5, "{} segments", files.len());
    let directory = on_disk(&files);
    let here = read_here(directory.path()).expect("it opens");
    assert!(
        here.sound && here.records.len() == 306,
        "307, and one given up"
    );
    assert_eq!(read_there(directory.path()), here);
}

#[test]
fn a_damaged_log_is_judged_the_same_there() {
    if !has_python() {
        return;
    }
    let files = varied_log();
    let judgements: Vec<_> = damaged(&files).iter().map(judge_twice).collect();
    for judgement in [Some(true), Some(false), None] {
        assert!(judgements.contains(&judgement), "{judgement:?} was tried");
    }
}

/// The log with its first and its newest segment damaged in several ways.
fn damaged(files: &Files) -> Vec<Files> {
    let mut damaged = Vec::new();
    for name in [files.keys().min(), files.keys().max()].map(|name| name.expect("a file")) {
        let used = files[name].iter().rposition(|byte| *byte != 0).unwrap();
        // One header, both headers, an early and a late frame, the last byte
        // and the zeros behind it.
        let places: [&[usize]; 6] = [
            &[40],
            &[40, 4096 + 40],
            &[8192 + 9],
            &[(8192 + used) / 2],
            &[used],
            &[(used + 64).min(files[name].len() - 1)],
        ];
        for flips in places {
            let mut flipped = files.clone();
            let file = flipped.get_mut(name).unwrap();
            flips.iter().for_each(|flip| file[*flip] ^= 0x10);
            damaged.push(flipped);
        }
        let mut shorter = files.clone();
        shorter.get_mut(name).unwrap().truncate((8192 + used) / 2);
        damaged.push(shorter);
        let mut missing = files.clone();
        missing.remove(name);
        damaged.push(missing);
    }
    damaged
}

/// Whether the log is sound, as far as it can be opened.
fn judge_twice(files: &Files) -> Option<bool> {
    let directory = on_disk(files);
    let here = read_here(directory.path());
    let there = read_there(directory.path());
    match &here {
        Some(here) => assert_eq!(there, *here),
        None => assert!(!there.sound),
    }
    here.map(|here| here.sound)
}

#[test]
fn the_worked_example_of_the_document_is_the_golden_log() {
    const FORMAT: &str = include_str!("../../../docs/FORMAT.md");
    let file = golden_directory().join("00000000000000000000-0000000001.log");
    let file = std::fs::read(file).expect("the golden file is there");
    let hex = |bytes: &[u8]| {
        let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(" ")
    };
    for (row, bytes) in file[..92].chunks(16).enumerate() {
        let line = format!("{:02x}  {}", row * 16, hex(bytes));
        assert!(FORMAT.contains(&line), "header: {line}");
    }
    let frame = &file[8192..8192 + 32];
    let pieces = [
        (&frame[..8], 2),   // w0: in the frame, and as it is covered
        (&frame[8..12], 1), // crc32
        (&frame[16..], 2),  // payload and padding
        (&file[40..48], 1), // salt
    ];
    for (bytes, times) in pieces {
        let shown = FORMAT.matches(&format!(" {} ", hex(bytes))).count()
            + FORMAT.matches(&format!(" {}\n", hex(bytes))).count();
        assert!(
            shown >= times,
            "frame: {} is shown {shown} times",
            hex(bytes)
        );
    }
}
