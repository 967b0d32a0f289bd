//! Damaged files: found, named, and never a panic.
//!
//! Every byte and every cut are tried in the layers beneath; here it is a
//! sample, through the binary.

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::*;

/// A frame's header lies in front of its payload.
const FRAME_HEADER_BYTES: usize = 16;

fn numbered(lines: u64) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| format!("this is line {line}\n").into_bytes())
        .collect()
}

fn flip(file: &Path, position: usize, bits: u8) {
    let mut bytes = fs::read(file).unwrap();
    bytes[position] ^= bits;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, length_bytes: usize) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..length_bytes]).unwrap();
}

/// Where the frame of a record lies in a file.
fn frame_position(file: &Path, payload: &[u8]) -> usize {
    let bytes = fs::read(file).unwrap();
    let payload = bytes
        .windows(payload.len())
        .position(|window| window == payload);
    payload.unwrap() - FRAME_HEADER_BYTES
}

fn newest(log: &Path) -> PathBuf {
    segment_files(log).pop().unwrap()
}

#[test]
fn each_damage_in_sealed_segments_is_named_with_its_place() {
    let scratch = Scratch::new();
    let bytes = numbered(2000);
    let all = lines(&bytes);
    let log = scratch.log("log", &bytes);
    let (_, stat) = json("stat", &log);
    let mut expected = Vec::new();
    for segment in [0, 2] {
        let file = segment_files(&log)[segment].clone();
        let lsn = stat["segments"][segment]["base"].as_u64().unwrap() + 5;
        let position = frame_position(&file, all[lsn as usize]);
        flip(&file, position + FRAME_HEADER_BYTES + 3, 0x20);
        expected.push((file, position, lsn));
    }

    let (code, verify) = json("verify", &log);
    assert_eq!(
        (code, &verify["sound"], &verify["complete"]),
        (1, &false.into(), &true.into())
    );
    let damage = verify["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 2, "{verify:#}");
    let output = run(&mut look("verify", &log, []), b"");
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(1), "")
    );
    let said = text(&output.stdout);
    assert_says(&said, &["damaged in 2 places"]);
    for (found, (file, position, lsn)) in damage.iter().zip(&expected) {
        assert_eq!(found["file"], file.to_str().unwrap());
        assert_eq!(
            (&found["position"], &found["lsn"]),
            (&(*position).into(), &(*lsn).into())
        );
        let case = found["case"].as_str().unwrap();
        let place = format!(
            "{}: damaged at byte {position}, record {lsn} is lost",
            file.display()
        );
        assert_says(&said, &[&place, &format!("(recovery case {case})")]);
    }

    let mut command = look("cat", &log, []);
    let output = run(&mut command, b"");
    assert_says(
        &refusal_of(&command, &output),
        &[expected[0].0.to_str().unwrap(), "damaged"],
    );
    assert_eq!(
        output.stdout,
        all[..5].concat(),
        "cat writes what comes before, and no wrong byte"
    );
}

#[test]
fn damage_in_what_was_acknowledged_last_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let bytes = numbered(2000);
    let log = scratch.log("log", &bytes);
    let last = lines(&bytes).pop().unwrap();
    let position = frame_position(&newest(&log), last);
    flip(&newest(&log), position + FRAME_HEADER_BYTES, 1);
    let before = contents(&log);
    for mut command in [
        ingest(&log, []),
        look("cat", &log, []),
        look("stat", &log, []),
    ] {
        let said = refusal(&mut command);
        assert_says(
            &said,
            &[
                newest(&log).to_str().unwrap(),
                &format!("byte {position}"),
                "record 1999",
            ],
        );
    }
    let (code, verify) = json("verify", &log);
    assert_eq!((code, &verify["sound"]), (1, &false.into()));
    assert_eq!(verify["damage"][0]["position"], position);
    assert_eq!(
        (&verify["complete"], &verify["opens"], &verify["tail"]),
        (&true.into(), &false.into(), &serde_json::Value::Null),
        "it has looked at everything"
    );
    assert!(contents(&log) == before, "INV-W5: not cut");
}

#[test]
fn a_torn_tail_is_no_damage_and_the_next_writer_cuts_it() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, ["--ack", "written"]);
    writer.feed(b"whole\ntorn in the middle\n");
    writer.wait_for_ack(2);
    writer.child.kill().unwrap();
    writer.child.wait().unwrap();
    let torn = newest(&log);
    let position = frame_position(&torn, b"torn in the middle\n");
    cut(&torn, position + FRAME_HEADER_BYTES + 4);

    let (code, verify) = json("verify", &log);
    assert_eq!((code, &verify["sound"]), (0, &true.into()), "{verify:#}");
    let tail = &verify["tail"];
    assert_eq!(
        (&tail["state"], &tail["position"], &tail["lsn"]),
        (&"torn".into(), &position.into(), &1.into())
    );
    assert_eq!(tail["file"], torn.to_str().unwrap());
    assert_says(
        &text(&succeed(&mut look("verify", &log, []), b"")),
        &["the next writer cuts them off"],
    );
    assert_eq!(cat(&log), b"whole\n");

    let output = run(&mut ingest(&log, []), b"new\n");
    assert_eq!(output.status.code(), Some(0));
    assert_says(
        &text(&output.stderr),
        &["strata: ingest: note: torn tail cut at record 1"],
    );
    assert_eq!(
        cat(&log),
        b"whole\nnew\n",
        "INV-W8: the torn record is gone for good"
    );
    assert_eq!(json("stat", &log).1["tail"]["state"], "clean");
}

/// What readers say of a log that was tampered with.
struct Seen {
    /// What `cat` wrote, to the end or to the first damage.
    bytes: Vec<u8>,
    to_the_end: bool,
    /// Whether `verify` found nothing.
    sound: bool,
}

fn look_around(log: &Path, what: &str) -> Seen {
    let verify = run(&mut look("verify", log, []), b"");
    match verify.status.code() {
        Some(0 | 1) => assert_eq!(text(&verify.stderr), "", "{what}"),
        _ => drop(refusal_of(&look("verify", log, []), &verify)),
    }
    let [stat, cat] = ["stat", "cat"].map(|verb| {
        let mut command = look(verb, log, []);
        let output = run(&mut command, b"");
        if output.status.code() != Some(0) {
            refusal_of(&command, &output);
        }
        output
    });
    let sound = verify.status.code() == Some(0);
    assert!(!sound || stat.status.success(), "{what}");
    Seen {
        bytes: cat.stdout,
        to_the_end: cat.status.success(),
        sound,
    }
}

/// A writer either continues behind what readers saw, or refuses and changes
/// nothing.
fn write_on(log: &Path, seen: &Seen, what: &str) {
    let before = contents(log);
    let mut command = ingest(log, []);
    let output = run(&mut command, b"new\n");
    if output.status.code() != Some(0) {
        refusal_of(&command, &output);
        assert!(
            contents(log) == before,
            "{what}: a refusal changed something"
        );
        return;
    }
    let after = look_around(log, what);
    assert_eq!(after.to_the_end, seen.to_the_end, "{what}");
    let new: &[u8] = if seen.to_the_end { b"new\n" } else { b"" };
    assert!(
        after.bytes == [&seen.bytes, new].concat(),
        "{what}: continued elsewhere"
    );
}

fn restore(log: &Path, files: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(log).unwrap();
    fs::create_dir(log).unwrap();
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn no_flipped_byte_is_a_panic_or_a_wrong_record() {
    let scratch = Scratch::new();
    let bytes = numbered(500);
    let log = scratch.log("log", &bytes);
    let sound = contents(&log);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..80 {
        restore(&log, &sound);
        let files = segment_files(&log);
        let file = &files[random.random_range(0..files.len())];
        let length_bytes = fs::metadata(file).unwrap().len() as usize;
        let position = match random.random_bool(0.3) {
            true => [0, 4096][random.random_range(0..2)] + random.random_range(0..92),
            false => random.random_range(0..length_bytes),
        };
        let bits = 1 << random.random_range(0..8);
        flip(file, position, bits);
        let what = format!("bits {bits:#x} of byte {position} of {}", file.display());
        let seen = look_around(&log, &what);
        assert!(bytes.starts_with(&seen.bytes), "INV-W3: {what}");
        if seen.sound {
            assert!(
                seen.bytes == bytes,
                "INV-W5: {what}: lost, and called sound"
            );
        }
        write_on(&log, &seen, &what);
    }
}

#[test]
fn no_cut_is_a_panic_or_a_wrong_record() {
    let scratch = Scratch::new();
    let bytes = numbered(500);
    let log = scratch.log("log", &bytes);
    let sound = contents(&log);
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..50 {
        restore(&log, &sound);
        let files = segment_files(&log);
        let file = match random.random_bool(0.7) {
            true => newest(&log),
            false => files[random.random_range(0..files.len())].clone(),
        };
        let length_bytes = random.random_range(0..fs::metadata(&file).unwrap().len() as usize);
        cut(&file, length_bytes);
        let what = format!("{} cut to {length_bytes} bytes", file.display());
        let seen = look_around(&log, &what);
        assert!(bytes.starts_with(&seen.bytes), "INV-W3: {what}");
        write_on(&log, &seen, &what);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(2000));
    let sound = contents(&log);
    let count = segment_files(&log).len();
    assert!(count >= 4);
    for missing in [1, count / 2, count - 1] {
        restore(&log, &sound);
        let gone = segment_files(&log)[missing].clone();
        let neighbour = segment_files(&log)[missing - 1].clone();
        fs::remove_file(&gone).unwrap();
        let output = run(&mut look("verify", &log, []), b"");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let next = segment_files(&log)
            .get(missing)
            .cloned()
            .unwrap_or_else(|| neighbour.clone());
        let named = [neighbour, next]
            .iter()
            .any(|file| said.contains(file.to_str().unwrap()));
        assert!(named, "{said}");
        for mut command in [
            ingest(&log, []),
            look("cat", &log, []),
            look("stat", &log, []),
        ] {
            refusal(&mut command);
        }
    }
}

/// A log with one damaged line in a sealed segment and one in the newest.
fn damaged_twice(scratch: &Scratch) -> (PathBuf, Vec<u8>, [u64; 2]) {
    let bytes = numbered(2000);
    let log = scratch.log("log", &bytes);
    let all = lines(&bytes);
    let lsns = [7, 1990];
    for (file, lsn) in [(segment_files(&log)[0].clone(), 7), (newest(&log), 1990)] {
        let position = frame_position(&file, all[lsn]);
        flip(&file, position + FRAME_HEADER_BYTES + 2, 4);
    }
    (log, bytes, lsns)
}

#[test]
fn verify_lists_all_damage_of_a_log_that_does_not_open() {
    let scratch = Scratch::new();
    let (log, _, lsns) = damaged_twice(&scratch);
    let before = contents(&log);
    let (code, verify) = json("verify", &log);
    assert_eq!((code, &verify["opens"]), (1, &false.into()), "{verify:#}");
    assert_eq!(verify["records"], 1998);
    let damage = verify["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 2, "{verify:#}");
    for (damage, lsn) in damage.iter().zip(lsns) {
        assert_eq!(damage["lsn"], lsn);
        assert_eq!(damage["lsn_end"], lsn + 1);
    }
    let said = text(&run(&mut look("verify", &log, []), b"").stdout);
    assert_says(&said, &["damaged in 2 places", "strata recover"]);
    assert!(contents(&log) == before, "nothing is changed");
}

#[test]
fn recover_only_looks_unless_it_is_told_what_to_do() {
    let scratch = Scratch::new();
    let (log, _, _) = damaged_twice(&scratch);
    let before = contents(&log);
    let output = run(&mut look("recover", &log, []), b"");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), String::new())
    );
    let said = text(&output.stdout);
    assert_says(
        &said,
        &["record 7 is lost", "record 1990 is lost", "at record 7"],
    );
    assert_says(&said, &["1,998 records can be read"]);
    assert!(contents(&log) == before, "nothing is changed");
}

#[test]
fn recover_salvages_every_line_but_the_damaged_ones() {
    let scratch = Scratch::new();
    let (log, bytes, lsns) = damaged_twice(&scratch);
    let before = contents(&log);
    let output = run(&mut look("recover", &log, ["--salvage"]), b"");
    assert_eq!(output.status.code(), Some(1));
    let expected: Vec<u8> = (0..)
        .zip(lines(&bytes))
        .filter(|(lsn, _)| !lsns.contains(lsn))
        .flat_map(|(_, line)| line.to_vec())
        .collect();
    assert!(output.stdout == expected);
    let notes = text(&output.stderr);
    assert_eq!(notes.lines().count(), 2, "{notes}");
    assert_says(&notes, &["record 7 is lost", "record 1990 is lost"]);
    assert!(contents(&log) == before, "nothing is changed");
}

#[test]
fn recover_cuts_in_front_of_the_first_damage_and_the_log_goes_on() {
    let scratch = Scratch::new();
    let (log, bytes, _) = damaged_twice(&scratch);
    let output = run(&mut look("recover", &log, ["--cut"]), b"");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), String::new())
    );
    assert_says(
        &text(&output.stdout),
        &["the next record is 7", "records 7 to"],
    );
    let kept = lines(&bytes)[..7].concat();
    assert!(cat(&log) == kept);
    succeed(&mut ingest(&log, []), b"new\n");
    assert!(cat(&log) == [kept, b"new\n".to_vec()].concat());
    assert_eq!(json("verify", &log).0, 0);
    let said = succeed(&mut look("recover", &log, []), b"");
    assert_says(&text(&said), &["nothing to recover"]);
}
