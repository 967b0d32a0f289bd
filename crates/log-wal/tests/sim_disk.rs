//! The simulated disk keeps what was synced, and only that.

#[path = "common/memory.rs"]
mod memory;

use std::collections::BTreeSet;

use log_wal::Storage;
use log_wal::storage::sim::{
    Chance, DirectoryOrder, EveryOutcome, Failure, Fault, Operation, SimError, SimStorage, Unsynced,
};
use log_wal::storage::{Blocks, SegmentFile};

use memory::Memory;

fn mapped() -> SimStorage {
    let disk = SimStorage::new(0);
    disk.map_files(Memory::of_sim);
    disk
}

fn file(disk: &SimStorage, name: &str, len_bytes: u64) -> Box<dyn SegmentFile> {
    let file = disk.create(name, len_bytes, Blocks::Written).unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    file
}

fn outcomes(disk: &SimStorage) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    let mut every = EveryOutcome::default();
    let mut seen = BTreeSet::new();
    while every.advance() {
        let files = disk.power_loss(&mut every).files();
        seen.insert(files.into_iter().collect());
    }
    seen
}

/// What the sectors of the only file begin with, in each outcome.
fn sectors(disk: &SimStorage) -> BTreeSet<Vec<u8>> {
    let firsts = |files: Vec<(String, Vec<u8>)>| {
        let (_, bytes) = files.into_iter().next().unwrap();
        bytes.chunks(512).map(|sector| sector[0]).collect()
    };
    outcomes(disk).into_iter().map(firsts).collect()
}

#[test]
fn what_was_synced_has_one_outcome() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 1024);
    file.write_at(100, b"synced").unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&disk).len(), 1);
    assert_eq!(&outcomes(&disk).first().unwrap()[0].1[100..106], b"synced");
}

#[test]
fn a_sector_is_in_any_state_that_it_had_since_the_sync() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 1024);
    file.write_at(0, &[1; 600]).unwrap();
    file.write_at(0, &[2; 100]).unwrap();
    let expected = [0, 1, 2]
        .iter()
        .flat_map(|first| [vec![*first, 0], vec![*first, 1]]);
    assert_eq!(sectors(&disk), expected.collect());
}

#[test]
fn garbage_touches_only_bytes_that_would_have_changed() {
    let disk = SimStorage::new(0);
    disk.allow_garbage(true);
    let file = file(&disk, "a", 512);
    file.write_at(0, &[7; 200]).unwrap();
    file.sync().unwrap();
    file.write_at(100, &[9; 300]).unwrap();
    let seen = outcomes(&disk);
    assert_eq!(seen.len(), 3, "old, new and garbage");
    for files in seen {
        let bytes = &files[0].1;
        assert_eq!(bytes[..100], [7; 100]);
        assert_eq!(bytes[400..], [0; 112]);
    }
}

#[test]
fn a_name_survives_only_with_the_directory() {
    let disk = SimStorage::new(0);
    disk.create("a", 0, Blocks::Written)
        .unwrap()
        .sync()
        .unwrap();
    let names = |disk: &SimStorage| -> BTreeSet<Vec<String>> {
        let names = |files: Vec<(String, Vec<u8>)>| files.into_iter().map(|file| file.0).collect();
        outcomes(disk).into_iter().map(names).collect()
    };
    let owned = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&disk), [owned(&[]), owned(&["a"])].into());
    disk.sync_directory().unwrap();
    assert_eq!(names(&disk), [owned(&["a"])].into());

    disk.rename("a", "b").unwrap();
    disk.create("c", 0, Blocks::Written).unwrap();
    let journaled = [owned(&["a"]), owned(&["b"]), owned(&["b", "c"])];
    assert_eq!(names(&disk), journaled.clone().into());
    disk.set_directory_order(DirectoryOrder::Any);
    let mut any = BTreeSet::from(journaled);
    any.insert(owned(&["a", "c"]));
    assert_eq!(names(&disk), any);
}

#[test]
fn a_lost_length_takes_the_data_with_it() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 512);
    file.write_at(512, &[3; 512]).unwrap();
    let lengths: BTreeSet<_> = outcomes(&disk)
        .into_iter()
        .map(|files| files[0].1.len())
        .collect();
    assert_eq!(lengths, [512, 1024].into());
    file.sync().unwrap();
    file.shrink(512).unwrap();
    assert_eq!(sectors(&disk), [vec![0, 3], vec![0]].into());
}

#[test]
fn a_sync_of_the_front_keeps_each_sector_that_begins_in_front_and_no_other() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 1536);
    file.write_at(0, &[1; 1536]).unwrap();
    file.sync_front(513).unwrap();
    assert_eq!(sectors(&disk), [vec![1, 1, 0], vec![1, 1, 1]].into());
    disk.inject(Fault::on(Operation::Sync, Failure::PagesLost));
    file.write_at(0, &[2; 1536]).unwrap();
    assert!(file.sync_front(512).is_err());
    file.sync_front(1024).unwrap();
    assert_eq!(
        sectors(&disk),
        [vec![1, 2, 0], vec![1, 2, 1], vec![1, 2, 2]].into()
    );
}

#[test]
fn a_sync_of_the_front_keeps_the_length_if_the_front_cannot_be_read_without() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 512);
    file.write_at(512, &[3; 1024]).unwrap();
    file.sync_front(512).unwrap();
    assert!(sectors(&disk).contains(&vec![0]), "still as short");
    file.sync_front(1024).unwrap();
    assert_eq!(sectors(&disk), [vec![0, 3, 0], vec![0, 3, 3]].into());
}

#[test]
fn a_sync_that_loses_pages_shows_data_that_the_medium_does_not_have() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 512);
    file.write_at(0, &[1; 512]).unwrap();
    disk.inject(Fault::on(Operation::Sync, Failure::PagesLost));
    assert!(file.sync().is_err());
    file.sync().expect("the next one says that all is well");
    assert_eq!(disk.files()["a"], [1; 512]);
    assert_eq!(sectors(&disk), [vec![0]].into());
}

#[test]
fn faults_strike_the_calls_that_they_were_meant_for() {
    let disk = SimStorage::new(0);
    let (a, b) = (file(&disk, "a", 512), file(&disk, "b", 512));
    let fault = Fault::on(Operation::Write, Failure::Torn(SimError::Io));
    disk.inject(fault.only_if(|call| call.file == "b").after(1));
    for _ in 0..3 {
        a.write_at(0, &[1; 8]).unwrap();
    }
    b.write_at(0, &[1; 8]).unwrap();
    assert_eq!(b.write_at(0, &[2; 8]).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(
        disk.files()["b"][..8],
        [2, 2, 2, 2, 1, 1, 1, 1],
        "the first half"
    );
    b.write_at(0, &[3; 8]).expect("once");

    disk.inject(Fault::on(Operation::Write, Failure::Refused(SimError::Full)).for_ever());
    for _ in 0..3 {
        let error = a.write_at(0, &[4; 8]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    disk.clear_faults();
    a.write_at(0, &[4; 8]).unwrap();
}

#[test]
fn room_is_counted_in_blocks_and_comes_back() {
    let disk = SimStorage::new(0);
    disk.set_capacity(Some(8192));
    let small = disk.create("a", 1, Blocks::Written).unwrap();
    let full = disk.create("b", 4097, Blocks::Written).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert!(!disk.files().contains_key("b"), "nothing is left behind");
    small.write_at(1, &[1; 4095]).expect("the block is there");
    assert!(small.write_at(4096, &[1; 4097]).is_err());
    disk.remove("a").unwrap();
    disk.create("b", 8192, Blocks::Written).unwrap();
}

#[test]
fn without_power_nothing_happens() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 512);
    disk.power_off_at(disk.steps() + 1);
    file.write_at(0, &[1; 8]).expect("the last step");
    assert!(!disk.files().is_empty() && disk.is_off());
    assert!(file.write_at(0, &[2; 8]).is_err() && file.sync().is_err());
    assert!(disk.list().is_err() && disk.remove("a").is_err());
    assert_eq!(disk.files()["a"][0], 1);
}

#[test]
fn everything_follows_from_the_seeds() {
    let run = |seed| {
        let disk = SimStorage::new(seed);
        let file = file(&disk, "a", 8192);
        for step in 0..20 {
            file.write_at(step * 300, &disk.random_u64().to_le_bytes())
                .unwrap();
        }
        disk.power_loss(&mut Chance::seeded(seed)).files()
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn one_moment_can_be_continued_in_many_ways() {
    let disk = SimStorage::new(0);
    let file = file(&disk, "a", 512);
    file.write_at(0, &[1; 8]).unwrap();
    let copy = disk.process_death();
    file.write_at(0, &[2; 8]).unwrap();
    assert_eq!(copy.files()["a"][0], 1);
    let lost = copy.power_loss(&mut |_: &Unsynced<'_>| 0);
    assert_eq!((lost.files()["a"][0], copy.files()["a"][0]), (0, 1));
}

#[test]
fn what_is_stored_to_memory_may_be_on_the_medium_sector_by_sector_until_it_is_synced() {
    let disk = mapped();
    let file = file(&disk, "a", 1536);
    let mut region = file.region(1024).unwrap();
    region.bytes_mut()[500..520].fill(1);
    assert_eq!(disk.files()["a"][500..520], [1; 20], "the system has it");
    assert_eq!(disk.process_death().files()["a"][500..520], [1; 20]);
    let places = |disk: &SimStorage| -> BTreeSet<_> {
        let bytes = outcomes(disk).into_iter().map(|files| files[0].1.clone());
        bytes.map(|bytes| (bytes[511], bytes[512])).collect()
    };
    assert_eq!(places(&disk), [(0, 0), (0, 1), (1, 0), (1, 1)].into());
    file.sync_front(100).unwrap();
    assert_eq!(places(&disk), [(1, 0), (1, 1)].into());
    region.bytes_mut()[512] = 2;
    assert_eq!(places(&disk), [(1, 0), (1, 1), (1, 2)].into());
    file.sync().unwrap();
    assert_eq!(places(&disk), [(1, 2)].into());
}

#[test]
fn what_is_written_to_a_file_is_in_its_memory() {
    let disk = mapped();
    let file = file(&disk, "a", 1536);
    file.write_at(8, &[1; 8]).unwrap();
    let mut region = file.region(1024).unwrap();
    assert_eq!(region.bytes_mut()[8..16], [1; 8]);
    file.write_at(1020, &[2; 8]).unwrap();
    assert_eq!(region.bytes_mut()[1020..], [2; 4]);
    assert_eq!(disk.files()["a"][1020..1028], [2; 8]);
    assert!(disk.damage("a", |bytes| bytes[8] ^= 4));
    assert_eq!(region.bytes_mut()[8], 5);
}

#[test]
fn memory_holds_its_file_and_keeps_it_from_being_cut() {
    let disk = mapped();
    let file = file(&disk, "a", 1024);
    let mut region = file.region(512).unwrap();
    assert!(!disk.rename_unheld("a", "b").unwrap(), "INV-M2");
    assert!(file.shrink(512).is_err());
    drop(file);
    region.bytes_mut().fill(7);
    drop(region);
    assert!(disk.rename_unheld("a", "b").unwrap());
    assert_eq!(disk.files()["b"][..512], [7; 512], "the last of it, too");
}

#[test]
fn what_is_stored_when_the_power_is_off_goes_nowhere() {
    let disk = mapped();
    let file = file(&disk, "a", 512);
    let mut region = file.region(512).unwrap();
    disk.power_off_at(disk.steps());
    region.bytes_mut()[0] = 1;
    assert!(file.sync().is_err());
    region.bytes_mut()[0] = 2;
    assert_eq!(sectors(&disk), [vec![0], vec![1]].into());
}
