//! What goes in comes out.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::support::*;

/// Text of many shapes: line endings of both kinds and none, empty lines, bytes
/// that are no text.
fn random_bytes(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..60_000)];
    random.fill_bytes(&mut bytes);
    let lf_every = random.random_range(1..2000);
    for byte in &mut bytes {
        if random.random_range(0..lf_every) == 0 {
            *byte = b'\n';
        }
    }
    bytes
}

#[test]
fn every_shape_of_line_comes_back_byte_for_byte() {
    let long = [vec![b'x'; 5 << 20], b"\r\n".to_vec(), vec![0xFF; 9 << 20]].concat();
    let shapes: [&[u8]; 14] = [
        b"",
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n\n\n",
        b"one line\n",
        b"no newline at the end",
        b"two\nno newline at the end",
        b"lf\ncrlf\r\nlf\n\r\n",
        b"\n\r\n\r",
        b"\0\n\0\0\n\0",
        b"not UTF-8: \xFF\xFE\xC3(\n\xED\xA0\x80\n",
        b"\xEF\xBB\xBFwith a mark\n\x1A\n\x0B\x0C\n\xE2\x80\xA8\n",
        &long,
    ];
    let scratch = Scratch::new();
    for (index, bytes) in shapes.iter().enumerate() {
        let file = scratch.file("input", bytes);
        let log = scratch.path(&format!("log-{index}"));
        let mut command = strata(["ingest"]);
        succeed(command.arg(&file).arg("--log").arg(&log), b"");
        assert!(cat(&log) == *bytes, "shape {index}");
        let (_, stat) = json("stat", &log);
        assert_eq!(
            stat["records"],
            lines(bytes).len(),
            "shape {index}: a record a line"
        );
        assert_eq!(json("verify", &log).0, 0, "shape {index}");
    }
}

#[test]
fn random_bytes_come_back_byte_for_byte_at_every_level_and_batch() {
    for seed in 0..24 {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes = random_bytes(&mut random);
        let batch = random.random_range(1..300).to_string();
        let level = ["published", "written", "durable"][seed as usize % 3];
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let mut command = ingest(&log, SMALL_SEGMENTS);
        succeed(command.args(["--ack", level, "--batch", &batch]), &bytes);
        assert!(cat(&log) == bytes, "seed {seed}");
        let (code, verify) = json("verify", &log);
        assert_eq!(
            (code, &verify["records"]),
            (0, &lines(&bytes).len().into()),
            "seed {seed}"
        );
        assert_eq!(verify["payload_bytes"], bytes.len(), "seed {seed}");
    }
}

#[test]
fn a_line_longer_than_a_segment_stays_one_record() {
    let scratch = Scratch::new();
    let bytes = [
        b"short\n".to_vec(),
        vec![b'x'; 3 << 20],
        b"\nshort\n".to_vec(),
    ]
    .concat();
    let log = scratch.log("log", &bytes);
    assert!(cat(&log) == bytes);
    assert_eq!(json("stat", &log).1["records"], 3);
}

#[test]
fn a_second_ingest_continues_behind_the_first() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut all = Vec::new();
    for run in 0..6 {
        let before = lines(&all).len();
        let part: String = (0..200)
            .map(|line| format!("run {run}, line {line}\n"))
            .collect();
        let summary = text(&succeed(&mut ingest(&log, SMALL_SEGMENTS), part.as_bytes()));
        assert_says(
            &summary,
            &[
                &format!("first lsn     {before}\n"),
                &format!("next lsn      {}\n", before + 200),
            ],
        );
        all.extend(part.as_bytes());
    }
    assert!(cat(&log) == all);
}

#[test]
fn a_last_line_without_its_end_is_not_joined_with_what_comes_later() {
    let scratch = Scratch::new();
    let log = scratch.log("log", b"one\nhalf");
    succeed(&mut ingest(&log, []), b" and more\n");
    assert_eq!(json("stat", &log).1["records"], 3);
    assert_eq!(
        succeed(&mut look("cat", &log, ["--from", "1", "--limit", "1"]), b""),
        b"half"
    );
}

#[test]
fn the_summary_says_what_was_done() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let summary = text(&succeed(
        &mut ingest(&log, ["--ack", "durable"]),
        b"one\ntwo\n",
    ));
    let mut names: Vec<_> = summary
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "MB/s",
            "acknowledged",
            "bytes",
            "first lsn",
            "fsyncs",
            "next lsn",
            "records",
            "seconds",
            "segments"
        ]
    );
    assert_says(
        &summary,
        &[
            "records       2\n",
            "bytes         8\n",
            "acknowledged  durable\n",
            "segments      1\n",
            "first lsn     0\n",
            "next lsn      2\n",
        ],
    );
}

#[test]
fn a_new_log_has_segments_of_the_size_that_the_help_names() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, []);
    writer.feed(b"one\n");
    writer.wait_for_ack(1);
    assert_eq!(json("stat", &log).1["file_bytes"], 16 << 20);
    assert_says(
        &text(&succeed(&mut strata(["ingest", "--help"]), b"")),
        &["[default: 16MiB]"],
    );
    writer.finish();
}
