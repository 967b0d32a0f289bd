//! What cannot be done is said in one line that names the file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::*;

/// Somebody who owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_second_writer_is_refused_at_once_and_the_first_goes_on() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, []);
    writer.feed(b"first\n");
    writer.wait_for_ack(1);
    let before = contents(&log);
    let said = refusal(&mut ingest(&log, []));
    assert_says(
        &said,
        &[
            log.to_str().unwrap(),
            "another process",
            "is writing this log",
            "wait for it to end",
        ],
    );
    assert_says(&said, &[&format!("pid {}", writer.child.id())]);
    assert!(
        contents(&log) == before,
        "INV-W7: a refusal changes nothing"
    );
    writer.feed(b"second\n");
    writer.wait_for_ack(2);
    writer.finish();
    succeed(&mut ingest(&log, []), b"third\n");
    assert_eq!(
        cat(&log),
        b"first\nsecond\nthird\n",
        "INV-W7: the lock went with its holder"
    );
}

#[test]
fn a_directory_that_is_not_a_log_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let folder = scratch.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("letter.txt"), "Dear all").unwrap();
    for mut command in every_command(&folder) {
        assert_says(
            &refusal(&mut command),
            &[folder.to_str().unwrap(), "not a log", "letter.txt"],
        );
    }
    assert_eq!(
        contents(&folder),
        [(folder.join("letter.txt"), b"Dear all".to_vec())]
    );
}

fn every_command(log: &Path) -> [Command; 4] {
    [
        ingest(log, []),
        look("cat", log, []),
        look("stat", log, []),
        look("verify", log, []),
    ]
}

#[test]
fn a_file_in_place_of_the_directory_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"bytes");
    for mut command in every_command(&file) {
        assert_says(
            &refusal(&mut command),
            &[file.to_str().unwrap(), "not a directory"],
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"bytes");
}

#[test]
fn readers_want_a_log_that_exists() {
    let scratch = Scratch::new();
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    for log in [scratch.path("missing"), empty.clone()] {
        for verb in ["cat", "stat", "verify"] {
            let said = refusal(&mut look(verb, &log, []));
            assert_says(
                &said,
                &[verb, log.to_str().unwrap(), "no log here", "strata ingest"],
            );
        }
    }
    assert!(!scratch.path("missing").exists());
    assert_eq!(contents(&empty), []);
}

#[test]
fn a_read_only_directory_can_be_read_and_not_written() {
    let scratch = Scratch::new();
    let log = scratch.log("log", b"one\ntwo\n");
    let before = contents(&log);
    let binary = scratch.path("strata");
    fs::copy(env!("CARGO_BIN_EXE_strata"), &binary).unwrap();
    for (path, mode) in [
        (scratch.path("."), 0o755),
        (binary.clone(), 0o755),
        (log.clone(), 0o555),
    ] {
        set_mode(&path, mode);
    }
    for file in contents(&log) {
        set_mode(&file.0, 0o444);
    }
    let powerless = |verb: &str| {
        let mut command = Command::new(&binary);
        command.args([verb, "--log"]).arg(&log);
        // Modes do not hold root back.
        if fs::metadata("/proc/self").is_ok_and(|own| is_root(&own)) {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let said = refusal(&mut powerless("ingest"));
    assert_says(
        &said,
        &[log.to_str().unwrap(), "cannot write here", "read-only"],
    );
    assert_eq!(succeed(&mut powerless("cat"), b""), b"one\ntwo\n");
    assert_says(
        &text(&succeed(&mut powerless("stat"), b"")),
        &["records        2\n"],
    );
    assert_says(&text(&succeed(&mut powerless("verify"), b"")), &["sound"]);
    assert!(contents(&log) == before);
    set_mode(&log, 0o755);
}

fn is_root(own: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(own) == 0
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_newer_format_version_is_refused_by_its_number() {
    let scratch = Scratch::new();
    let log = scratch.log("log", b"one\n");
    let [file] = segment_files(&log).try_into().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // Both copies of the header: version at byte 8, checksum of 88 bytes behind.
    for header in [0, 4096] {
        bytes[header + 8..header + 12].copy_from_slice(&7_u32.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[header..header + 88]);
        bytes[header + 88..header + 92].copy_from_slice(&checksum.to_le_bytes());
    }
    fs::write(&file, bytes).unwrap();
    for mut command in every_command(&log) {
        let said = refusal(&mut command);
        assert_says(
            &said,
            &[file.to_str().unwrap(), "format version 7", "newer build"],
        );
    }
}

#[test]
fn a_segment_that_is_a_link_or_of_another_log_is_refused() {
    let scratch = Scratch::new();
    let other = scratch.log("other", b"one\n");
    let [segment] = segment_files(&other).try_into().unwrap();
    let name = segment.file_name().unwrap();
    let linked = scratch.path("linked");
    fs::create_dir(&linked).unwrap();
    symlink(&segment, linked.join(name)).unwrap();
    let mixed = scratch.log("mixed", &b"a line\n".repeat(2000));
    let last = segment_files(&mixed).pop().unwrap();
    fs::copy(&segment, &last).unwrap();
    for log in [linked, mixed] {
        for mut command in every_command(&log) {
            let output = run(&mut command, b"");
            let said = refusal_of(&command, &output);
            assert_says(&said, &[log.to_str().unwrap(), "not a segment of this log"]);
        }
    }
}

#[test]
fn what_cannot_be_parsed_is_refused_in_one_line() {
    for arguments in [
        vec!["cat"],
        vec!["ingest", "--log"],
        vec!["cat", "--log", "x", "--form", "3"],
        vec!["cat", "--log", "x", "--from", "-1"],
        vec!["cat", "--log", "x", "--limit", "many"],
        vec!["ingest", "--log", "x", "--batch", "0"],
        vec!["ingest", "--log", "x", "--ack", "maybe"],
        vec!["ingest", "--log", "x", "--segment-bytes", "1KiB"],
        vec!["ingest", "--log", "x", "--segment-bytes", "1MB"],
        vec!["ingest", "--log", "x", "--record-bytes-max", "1GiB"],
        vec!["shrink", "--log", "x"],
    ] {
        assert_says(&refusal(&mut strata(&arguments)), &["see `strata --help`"]);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [
        vec!["--help"],
        vec!["--version"],
        vec!["help", "cat"],
        vec!["ingest", "--help"],
    ] {
        assert!(
            !succeed(&mut strata(&arguments), b"").is_empty(),
            "{arguments:?}"
        );
    }
    let alone = run(&mut strata::<&str>([]), b"");
    assert_eq!(alone.status.code(), Some(2), "nothing was asked for");
    assert_says(&text(&alone.stderr), &["Usage: strata"]);
}

#[test]
fn a_name_with_a_line_break_does_not_break_the_line() {
    let scratch = Scratch::new();
    let said = refusal(&mut look("cat", &scratch.path("two\nlines"), []));
    assert_says(&said, &["two\\nlines"]);
}
