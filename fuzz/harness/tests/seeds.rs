//! The seeds of every fuzz target, without a fuzzer: what the targets do is
//! compiled, run and kept true on every compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use log_fuzz::{TARGETS, Target, recovery};

/// One at a time: a target counts the memory of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn fuzz_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn committed(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let folder = fuzz_folder().join("corpus-seeds").join(target.name);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no target {name}"))
}

fn run_seeds(name: &str) {
    let target = target(name);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (seed, bytes) in committed(&target) {
        eprintln!("{name}: {seed}");
        (target.run)(&bytes);
    }
}

#[test]
fn every_seed_of_frame_keeps_its_promises() {
    run_seeds("frame");
}

#[test]
fn every_seed_of_header_keeps_its_promises() {
    run_seeds("header");
}

#[test]
fn every_seed_of_recovery_keeps_its_promises() {
    run_seeds("recovery");
}

#[test]
fn every_seed_of_operations_keeps_its_promises() {
    run_seeds("operations");
}

#[test]
fn every_seed_of_index_keeps_its_promises() {
    run_seeds("index");
}

#[test]
fn every_seed_of_time_index_keeps_its_promises() {
    run_seeds("time_index");
}

#[test]
fn every_seed_of_envelope_keeps_its_promises() {
    run_seeds("envelope");
}

#[test]
fn the_committed_seeds_and_dictionaries_are_those_that_are_written_now() {
    const HOW: &str = "run `cargo run -p log-fuzz`";
    for target in TARGETS {
        let seeds = (target.seeds)();
        let written: BTreeMap<String, Vec<u8>> = seeds
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect();
        assert!(!written.is_empty());
        assert_eq!(committed(&target), written, "{}: {HOW}", target.name);
        let path = fuzz_folder().join(format!("dictionaries/{}.txt", target.name));
        let dictionary = fs::read_to_string(path).unwrap();
        assert_eq!(dictionary, target.dictionary(), "{}: {HOW}", target.name);
    }
}

#[test]
fn the_seeds_of_recovery_lead_to_every_verdict() {
    let target = TARGETS.iter().find(|target| target.name == "recovery");
    let seeds = (target.unwrap().seeds)();
    let verdicts: BTreeSet<String> = seeds
        .iter()
        .map(|(_, bytes)| recovery::verdict(bytes))
        .collect();
    let rows = ["D", "E", "F", "H", "I", "K"].map(|row| format!("damaged {row}"));
    let others = [
        "clean",
        "cut C",
        "no log",
        "not a log",
        "newer version",
        "it does not begin as a segment does",
        "its name and its header disagree",
        "it belongs to another log",
    ];
    let expected = rows.into_iter().chain(others.map(str::to_owned));
    assert_eq!(verdicts, expected.collect());
}

#[test]
fn each_fuzz_program_has_a_target_and_each_target_a_program() {
    let folder = fuzz_folder().join("targets");
    let files = fs::read_dir(folder).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = TARGETS.map(|target| format!("{}.rs", target.name));
    assert_eq!(names, BTreeSet::from(expected));
}
