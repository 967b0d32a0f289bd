//! `cat`, `stat` and `verify` on a sound log, alone and beside a writer.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::process::Stdio;

use crate::support::*;

fn numbered(lines: u64) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| format!("line {line}\n").into_bytes())
        .collect()
}

#[test]
fn from_and_limit_choose_records_by_lsn() {
    let scratch = Scratch::new();
    let bytes = numbered(3000);
    let log = scratch.log("log", &bytes);
    assert!(segment_files(&log).len() > 3, "across segments");
    let all = lines(&bytes);
    for (from, limit) in [
        (0_usize, 1_usize),
        (0, 3000),
        (1, 0),
        (7, 5),
        (299, 900),
        (2999, 1),
        (2999, 9),
        (1500, usize::MAX),
    ] {
        let mut command = look("cat", &log, []);
        command.args(["--from", &from.to_string(), "--limit", &limit.to_string()]);
        let expected = all[from..from.saturating_add(limit).min(3000)].concat();
        assert!(
            succeed(&mut command, b"") == expected,
            "from {from}, limit {limit}"
        );
    }
}

#[test]
fn from_the_end_or_beyond_there_is_nothing() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(10));
    for from in ["10", "11", "18446744073709551615"] {
        assert_eq!(
            succeed(&mut look("cat", &log, ["--from", from]), b""),
            b"",
            "from {from}"
        );
    }
}

#[test]
fn from_before_the_first_record_is_refused_with_the_first_lsn() {
    let scratch = Scratch::new();
    let bytes = numbered(3000);
    let log = scratch.log("log", &bytes);
    let files = segment_files(&log);
    let (oldest, second) = (&files[0], &files[1]);
    fs::remove_file(oldest).unwrap();
    let name = second.file_name().unwrap().to_str().unwrap();
    let first: usize = name.split('-').next().unwrap().parse().unwrap();
    let said = refusal(&mut look("cat", &log, ["--from", "0"]));
    assert_says(
        &said,
        &[
            log.to_str().unwrap(),
            "record 0",
            &format!("--from {first}"),
        ],
    );
    assert!(
        cat(&log) == lines(&bytes)[first..].concat(),
        "without --from it begins there"
    );
}

#[test]
fn a_closed_pipe_ends_cat_quietly() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let long_line = [vec![b'x'; 1 << 20], b"\n".to_vec()].concat();
    succeed(&mut ingest(&log, []), &long_line.repeat(4));
    let mut command = look("cat", &log, []);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(first, [b'x'; 10]);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_closed_pipe_does_not_change_what_verify_found() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(10));
    for (verb, code) in [("stat", 0), ("verify", 0)] {
        let mut child = look(verb, &log, [])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(code), ""),
            "{verb}"
        );
    }
}

#[test]
fn a_stdout_that_cannot_be_written_is_a_failure() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(10));
    for verb in ["cat", "stat", "verify"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = look(verb, &log, []);
        let output = command.stdout(full).output().unwrap();
        assert_says(
            &refusal_of(&command, &output),
            &["standard output: cannot write"],
        );
    }
}

#[test]
fn everything_works_beside_a_running_writer() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, SMALL_SEGMENTS);
    let mut all = Vec::new();
    for round in 1..=12 {
        let part = numbered(150);
        writer.feed(&part);
        writer.wait_for_ack(150 * round);
        all.extend(part);
        assert!(cat(&log) == all, "INV-F1: round {round}");
        let (code, stat) = json("stat", &log);
        assert_eq!((code, &stat["writer_active"]), (0, &true.into()));
        assert_eq!(stat["next_lsn"], 150 * round);
        let (code, verify) = json("verify", &log);
        assert_eq!((code, &verify["sound"]), (0, &true.into()), "{verify:#}");
    }
    assert!(segment_files(&log).len() > 2, "across rotations");
    writer.finish();
    assert_eq!(json("stat", &log).1["writer_active"], false);
}

#[test]
fn readers_beside_a_busy_writer_see_prefixes() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let expected = numbered(40_000);
    let mut writer = Writer::start(&log, SMALL_SEGMENTS);
    writer.feed(b"line 0\n");
    writer.wait_for_ack(1);
    let mut stdin = writer.stdin.take().unwrap();
    std::thread::scope(|scope| {
        let rest = &expected[b"line 0\n".len()..];
        let feeder = scope.spawn(move || std::io::Write::write_all(&mut stdin, rest).unwrap());
        let mut acknowledged = 1;
        while let Some(end) = writer.next_ack() {
            acknowledged = acknowledged.max(end);
            let seen = cat(&log);
            assert!(expected.starts_with(&seen), "INV-W3: nothing but a prefix");
            assert!(
                lines(&seen).len() as u64 >= acknowledged,
                "INV-F1: {acknowledged}"
            );
            let (code, verify) = json("verify", &log);
            assert_eq!(code, 0, "{verify:#}");
        }
        feeder.join().unwrap();
    });
    writer.finish();
    assert!(cat(&log) == expected);
}

#[test]
fn reading_changes_nothing_on_disk() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(1000));
    let before = contents(&log);
    cat(&log);
    for verb in ["stat", "verify"] {
        succeed(&mut look(verb, &log, []), b"");
        json(verb, &log);
    }
    assert!(contents(&log) == before);
}

#[test]
fn stat_says_what_is_in_the_log() {
    let scratch = Scratch::new();
    let bytes = numbered(3000);
    let log = scratch.log("log", &bytes);
    fs::write(log.join("notes.txt"), "mine").unwrap();
    let (_, stat) = json("stat", &log);
    let keys: Vec<_> = stat
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "data_bytes",
            "file_bytes",
            "first_lsn",
            "ignored_files",
            "log",
            "next_lsn",
            "records",
            "segments",
            "tail",
            "writer_active"
        ]
    );
    assert_eq!(stat["log"], log.to_str().unwrap());
    assert_eq!(
        (&stat["first_lsn"], &stat["next_lsn"]),
        (&0.into(), &3000.into())
    );
    assert_eq!(stat["records"], 3000);
    assert_eq!(stat["tail"]["state"], "clean");
    assert!(
        stat["ignored_files"]
            .as_array()
            .unwrap()
            .contains(&"notes.txt".into())
    );

    let files = segment_files(&log);
    let segments = stat["segments"].as_array().unwrap();
    assert_eq!(segments.len(), files.len());
    let mut end = 0;
    for (segment, file) in segments.iter().zip(&files) {
        assert_eq!(segment["file"], file.to_str().unwrap());
        assert_eq!(segment["name"], file.file_name().unwrap().to_str().unwrap());
        assert_eq!(segment["file_bytes"], fs::metadata(file).unwrap().len());
        assert_eq!(segment["base"], end, "no gap and no overlap");
        end = segment["end"].as_u64().unwrap();
    }
    assert_eq!(end, 3000);
    let (active, sealed) = segments.split_last().unwrap();
    assert_eq!(active["state"], "active");
    assert!(sealed.iter().all(|segment| segment["state"] == "sealed"));

    let said = text(&succeed(&mut look("stat", &log, []), b""));
    assert_says(
        &said,
        &[
            "records        3,000\n",
            "tail           clean\n",
            "notes.txt",
        ],
    );
    for file in &files {
        assert_says(&said, &[file.file_name().unwrap().to_str().unwrap()]);
    }
}

#[test]
fn verify_says_that_a_sound_log_is_sound() {
    let scratch = Scratch::new();
    let bytes = numbered(3000);
    let log = scratch.log("log", &bytes);
    let (code, verify) = json("verify", &log);
    let keys: Vec<_> = verify
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "complete",
            "damage",
            "indexes",
            "log",
            "opens",
            "payload_bytes",
            "records",
            "segments",
            "sound",
            "tail",
            "time_indexes",
            "voids",
            "writer_active"
        ]
    );
    assert_eq!(
        (code, &verify["sound"], &verify["complete"]),
        (0, &true.into(), &true.into())
    );
    assert_eq!(
        (&verify["records"], &verify["payload_bytes"]),
        (&3000.into(), &bytes.len().into())
    );
    assert_eq!(verify["damage"], serde_json::json!([]));
    for kind in ["indexes", "time_indexes"] {
        let indexes = verify[kind].as_array().unwrap();
        assert_eq!(
            indexes.len(),
            segment_files(&log).len() - 1,
            "one for each sealed segment"
        );
        assert!(
            indexes.iter().all(|index| index["sound"] == true),
            "{verify:#}"
        );
    }
    let said = text(&succeed(&mut look("verify", &log, []), b""));
    assert_says(
        &said,
        &[
            "sound: 3,000 whole records",
            "index files sound",
            "tail clean",
        ],
    );
}

#[test]
fn a_lost_index_is_told_and_is_no_damage() {
    a_lost_file_is_told("index", "indexes");
}

#[test]
fn a_lost_time_index_is_told_and_is_no_damage() {
    a_lost_file_is_told("timeindex", "time_indexes");
}

fn a_lost_file_is_told(extension: &str, kind: &str) {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(3000));
    let index = segment_files(&log)[0].with_extension(extension);
    fs::remove_file(&index).unwrap();
    let (code, verify) = json("verify", &log);
    assert_eq!((code, &verify["sound"]), (0, &true.into()), "INV-M3");
    let lost = &verify[kind][0];
    assert_eq!(
        (&lost["file"], &lost["sound"]),
        (&index.to_str().unwrap().into(), &false.into())
    );
    let said = text(&succeed(&mut look("verify", &log, []), b""));
    assert_says(
        &said,
        &[
            "sound: 3,000 whole records",
            "to be built again",
            index.to_str().unwrap(),
        ],
    );
}
