//! The medium gives back something else than what was written, and somebody
//! decided what is to be done then.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use log_wal::format::Header;
use log_wal::storage::sim::SimStorage;
use log_wal::{
    Damage, Lsn, OpenError, ReadError, RecoveryPolicy, Salvage, TailState, Verify, Wal, WalOptions,
    WalReader,
};

use crate::common::{append, newest, payload, small};
use crate::disk::{disk_with, kill, new_disk, open, some_outcomes, try_open};

type Files = BTreeMap<String, Vec<u8>>;

const RECORDS: u64 = 30;

/// Three segments of ten records; closed. Record 15 has its mark, record 25 too.
fn closed_log() -> Files {
    let disk = new_disk();
    let wal = open(&disk);
    for segment in 0..3 {
        append(&wal, segment * 10, segment * 10 + 5);
        wal.sync().unwrap();
        append(&wal, segment * 10 + 5, segment * 10 + 10);
        if segment < 2 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
    disk.files()
}

fn disk_of(files: &Files) -> SimStorage {
    disk_with(files.clone())
}

fn cutting() -> WalOptions {
    small()
        .verify(Verify::All)
        .recovery(RecoveryPolicy::CutToLastGood)
}

fn try_cut(disk: &SimStorage) -> Result<Wal, OpenError> {
    Wal::with_storage(Arc::new(disk.clone()), cutting())
}

/// The frames of the records in a file, by the record's number.
fn frames(files: &Files, name: &str, lsns: Range<u64>) -> Vec<(u64, Range<usize>)> {
    let bytes = &files[name];
    let mut from = 8192;
    lsns.map(|lsn| {
        let payload = payload(lsn);
        let found = bytes[from..]
            .windows(payload.len())
            .position(|window| window == payload)
            .unwrap();
        let start = from + found - 16;
        from = start + 16 + payload.len().next_multiple_of(8);
        (lsn, start..from)
    })
    .collect()
}

/// What can be read, and what cannot.
fn salvaged(files: &Files) -> (Vec<u64>, Vec<Damage>) {
    let disk = disk_of(files);
    let salvage = Salvage::with_storage(Arc::new(disk.clone())).unwrap();
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    for item in salvage.iter() {
        match item {
            Ok(record) => {
                assert_eq!(record.payload(), payload(record.lsn().0), "INV-W3");
                read.push(record.lsn().0);
            }
            Err(ReadError::Damaged(damage)) => lost.push(damage),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(
        salvage.report().damage,
        lost,
        "said first, and in its place"
    );
    assert_eq!(salvage.report().records, read.len() as u64);
    assert_eq!(&disk.files(), files, "nothing is changed");
    (read, lost)
}

fn all_but(lost: Range<u64>) -> Vec<u64> {
    (0..RECORDS).filter(|lsn| !lost.contains(lsn)).collect()
}

/// The log of `files` is cut in front of record `end`, goes on there, and stays
/// as it is then.
fn is_cut_at(files: &Files, end: u64) -> log_wal::CutReport {
    let disk = disk_of(files);
    let wal = try_cut(&disk).unwrap();
    let report = wal.report().cut.clone().expect("it was damaged");
    assert_eq!((report.end, wal.next_lsn()), (Lsn(end), Lsn(end)));
    // Of the same lengths as those that were discarded.
    for lsn in end..end + 5 {
        wal.append(&vec![b'n'; payload(lsn).len()]).unwrap();
    }
    wal.close().unwrap();
    let options = small().verify(Verify::All);
    let wal = Wal::with_storage(Arc::new(disk), options).unwrap();
    assert_eq!(wal.report().cut, None);
    for (lsn, record) in (0..).zip(wal.iter()) {
        let record = record.unwrap();
        let expected = match lsn < end {
            true => payload(lsn),
            false => vec![b'n'; payload(lsn).len()],
        };
        assert_eq!(
            (record.lsn(), record.payload()),
            (Lsn(lsn), &*expected),
            "INV-W8"
        );
    }
    assert_eq!(wal.next_lsn(), Lsn(end + 5));
    report
}

fn refused(files: &Files) -> OpenError {
    let disk = disk_of(files);
    let options = small().verify(Verify::All);
    let refused = Wal::with_storage(Arc::new(disk.clone()), options).expect_err("it is damaged");
    assert_eq!(&disk.files(), files, "nothing is changed");
    refused
}

#[test]
fn fault_12_each_flipped_byte_is_refused_salvaged_around_and_cut_in_front_of() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    for (segment, name) in (0..).zip(&names) {
        for (lsn, frame) in frames(&files, name, segment * 10..segment * 10 + 10) {
            for at in frame.clone() {
                let mut flipped = files.clone();
                flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
                let OpenError::Damaged(damage) = refused(&flipped) else {
                    panic!("not called damage");
                };
                assert!(damage.path.ends_with(name), "INV-W5");

                let (read, lost) = salvaged(&flipped);
                assert_eq!(read, all_but(lsn..lsn + 1), "byte {at} of {name}");
                let [lost] = lost.as_slice() else {
                    panic!("{lost:?}");
                };
                assert_eq!(
                    (lost.lsn, lost.position),
                    (Some(Lsn(lsn)), frame.start as u64)
                );
                let what = lost.lost.as_ref().expect("it was looked for");
                assert_eq!(what.end, Some(Lsn(lsn + 1)));
                assert_eq!(what.bytes, frame.len() as u64);

                if at % 5 == 0 {
                    let cut = is_cut_at(&flipped, lsn);
                    assert_eq!(cut.damage, std::slice::from_ref(lost));
                    let whole: u64 = cut.discarded.iter().map(|file| file.whole_records).sum();
                    assert_eq!(whole, RECORDS - lsn - 1, "each but the damaged one");
                    assert_eq!(cut.discarded[0].lsn, Lsn(lsn));
                    assert_eq!(cut.discarded.last().unwrap().end, Some(Lsn(RECORDS)));
                }
            }
        }
    }
}

#[test]
fn fault_13_a_flip_in_the_last_group_is_torn_under_every_policy() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    append(&wal, 5, 9);
    wal.sync().unwrap();
    let mut files = kill(&disk, wal).files();
    let name = newest(&files);
    let (_, frame) = frames(&files, &name, 0..9).remove(7);
    files.get_mut(&name).unwrap()[frame.start + 20] ^= 0x40;
    for options in [small(), cutting()] {
        let wal = Wal::with_storage(Arc::new(disk_of(&files)), options).unwrap();
        assert!(matches!(wal.report().tail, TailState::Truncated { .. }));
        assert_eq!((wal.next_lsn(), wal.report().cut.clone()), (Lsn(7), None));
    }
    assert_eq!(salvaged(&files), ((0..7).collect(), Vec::new()));
}

#[test]
fn fault_14_a_damaged_record_of_zeros_is_lost_and_named() {
    let disk = new_disk();
    let wal = open(&disk);
    wal.append_durable(&[0; 2048]).unwrap();
    wal.append_durable(b"proves it").unwrap();
    let mut files = kill(&disk, wal).files();
    let name = newest(&files);
    files.get_mut(&name).unwrap()[8192 + 1000] ^= 0x10;
    let salvage = Salvage::with_storage(Arc::new(disk_of(&files))).unwrap();
    let read: Vec<_> = salvage.iter().filter_map(Result::ok).collect();
    assert_eq!(read.len(), 1);
    assert_eq!(
        (read[0].lsn(), read[0].payload()),
        (Lsn(1), &b"proves it"[..])
    );
    let damage = &salvage.report().damage[0];
    assert_eq!((damage.position, damage.lsn), (8192, Some(Lsn(0))));
    assert_eq!(damage.lost.as_ref().and_then(|lost| lost.end), Some(Lsn(1)));
    let wal = try_cut(&disk_of(&files)).unwrap();
    assert_eq!(wal.next_lsn(), Lsn(0));
}

#[test]
fn fault_24_around_a_middle_segment_that_is_missing_or_another_one() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let mut missing = files.clone();
    missing.remove(&names[1]);
    let mut doubled = files.clone();
    doubled.insert(names[1].clone(), files[&names[0]].clone());
    let mut emptied = files.clone();
    emptied.get_mut(&names[1]).unwrap().fill(0);
    for files in [missing, doubled, emptied] {
        refused(&files);
        let (read, lost) = salvaged(&files);
        assert_eq!(read, all_but(10..20));
        let ranges: Vec<_> = lost
            .iter()
            .map(|it| (it.lsn, it.lost.as_ref().and_then(|lost| lost.end)))
            .collect();
        assert_eq!(ranges, [(Some(Lsn(10)), Some(Lsn(20)))]);
        is_cut_at(&files, 10);
    }
    let mut swapped = files.clone();
    swapped.insert(names[0].clone(), files[&names[1]].clone());
    swapped.insert(names[1].clone(), files[&names[0]].clone());
    assert_eq!(salvaged(&swapped).0, all_but(0..20));
    let wal = try_cut(&disk_of(&swapped)).unwrap();
    assert_eq!(
        (wal.first_lsn(), wal.next_lsn()),
        (Lsn(0), Lsn(0)),
        "nothing is in front"
    );
}

#[test]
fn fault_25_a_missing_last_segment_that_comes_back_after_a_cut_stays_discarded() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let mut missing = files.clone();
    missing.remove(&names[2]);
    refused(&missing);
    let (read, lost) = salvaged(&missing);
    assert_eq!(read, all_but(20..30));
    assert_eq!((lost.len(), lost[0].lsn), (1, Some(Lsn(20))));
    assert_eq!(
        lost[0].lost.as_ref().and_then(|lost| lost.end),
        None,
        "nobody knows"
    );
    is_cut_at(&missing, 20);

    let disk = disk_of(&missing);
    let wal = try_cut(&disk).unwrap();
    append(&wal, 20, 23);
    wal.close().unwrap();
    let mut found_again = disk.files();
    found_again.insert(names[2].clone(), files[&names[2]].clone());
    let wal = try_open(&disk_of(&found_again)).unwrap();
    assert_eq!(wal.next_lsn(), Lsn(23), "INV-W8");
}

#[test]
fn a_wrong_name_of_the_oldest_segment_hides_nothing_behind_it() {
    let mut files = closed_log();
    let oldest = files.keys().next().unwrap().clone();
    let bytes = files.remove(&oldest).unwrap();
    let (_, id) = oldest.split_once('-').unwrap();
    files.insert(format!("{:020}-{id}", 25), bytes);
    let (read, lost) = salvaged(&files);
    assert_eq!(read, (10..RECORDS).collect::<Vec<_>>());
    let at: Vec<_> = lost.iter().map(|damage| damage.lsn).collect();
    assert_eq!(at, [Some(Lsn(10))], "in front of what can be read");
    assert_eq!(try_cut(&disk_of(&files)).unwrap().next_lsn(), Lsn(10));
}

/// A cut discards by ids. A file that has the id of another one cannot be
/// discarded without that.
#[test]
fn a_stray_file_with_the_id_of_a_segment_is_cut_off_with_it_and_hides_none_of_its_records() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    for (lsn, name) in [(0, &names[0]), (10, &names[1]), (20, &names[2])] {
        let (_, id) = name.split_once('-').unwrap();
        for base in [0, 7, 13, 99] {
            let stray = format!("{base:020}-{id}");
            if &stray == name {
                continue;
            }
            let mut files = files.clone();
            files.insert(stray, Vec::new());
            refused(&files);
            let (read, lost) = salvaged(&files);
            assert_eq!((read, lost.len()), (all_but(0..0), 1), "{base} {name}");
            is_cut_at(&files, lsn);
        }
    }
}

#[test]
fn a_damaged_newest_header_costs_its_segment_alone() {
    let mut files = closed_log();
    let name = newest(&files);
    for copy in [0, 4096] {
        files.get_mut(&name).unwrap()[copy + 40] ^= 1;
    }
    refused(&files);
    let (read, lost) = salvaged(&files);
    assert_eq!((read, lost.len()), (all_but(20..30), 1));
    assert_eq!(
        (lost[0].lsn, lost[0].row.to_string()),
        (Some(Lsn(20)), "F".to_owned())
    );
    is_cut_at(&files, 20);
}

/// Of the next segment nothing is left but a trace, which says that the seal
/// was durable.
#[test]
fn a_lost_seal_in_front_of_a_trace_is_damage_for_salvage_too() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 10);
    wal.rotate().unwrap();
    let mut files = kill(&disk, wal).files();
    let oldest = files.keys().next().unwrap().clone();
    let (_, last) = frames(&files, &oldest, 0..10).pop().unwrap();
    files.get_mut(&oldest).unwrap()[last.end..].fill(0);
    files.get_mut(&newest(&files)).unwrap()[8192 + 800] = 0xFF;
    refused(&files);
    let (read, lost) = salvaged(&files);
    assert_eq!(read, (0..10).collect::<Vec<_>>());
    assert_eq!(lost.len(), 1, "{lost:?}");
}

/// A header that claims less than the file has is believed by both.
#[test]
fn salvage_reads_no_further_than_the_segment_goes() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 10);
    wal.flush().unwrap();
    let mut files = kill(&disk, wal).files();
    let name = newest(&files);
    let (_, fifth) = frames(&files, &name, 0..10).swap_remove(5);
    let bytes = files.get_mut(&name).unwrap();
    let mut header = Header::decode(bytes).unwrap();
    header.capacity_bytes = fifth.start as u64;
    let header = header.encode();
    bytes[..header.len()].copy_from_slice(&header);
    bytes[4096..4096 + header.len()].copy_from_slice(&header);
    let disk = disk_of(&files);
    let reader = WalReader::with_storage(Arc::new(disk)).unwrap();
    let (read, lost) = salvaged(&files);
    assert_eq!((read.len() as u64, lost.len()), (reader.next_lsn().0, 0));
}

/// Only the damaged header said what was discarded; its name still says from
/// which record on. The discarded files may be there, if the power went before
/// they were removed.
#[test]
fn what_a_truncation_has_discarded_stays_so_when_its_header_is_lost() {
    let before = closed_log();
    let disk = disk_of(&before);
    let mut wal = try_open(&disk).unwrap();
    wal.truncate_after(Lsn(13)).unwrap();
    append(&wal, 13, 15);
    wal.close().unwrap();
    let mut removed = disk.files();
    let name = newest(&removed);
    removed.get_mut(&name).unwrap()[..8192].fill(0);
    let mut kept = before.clone();
    kept.extend(removed.clone());
    assert!(kept.len() > removed.len());
    for files in [removed, kept] {
        refused(&files);
        let (read, lost) = salvaged(&files);
        assert_eq!(read, (0..13).collect::<Vec<_>>(), "INV-W8");
        assert_eq!(lost[0].lsn, Some(Lsn(13)));
        is_cut_at(&files, 13);
    }
}

#[test]
fn a_damaged_mark_or_seal_takes_no_record_with_it() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let frames = frames(&files, &names[0], 0..10);
    let (mark, seal) = (frames[5].1.start - 24, frames[9].1.end);
    for at in [mark + 8, seal + 8] {
        let mut damaged = files.clone();
        damaged.get_mut(&names[0]).unwrap()[at] ^= 1;
        refused(&damaged);
        let (read, lost) = salvaged(&damaged);
        assert_eq!((read, lost.len()), (all_but(0..0), 1));
        assert_eq!(lost[0].lsn, lost[0].lost.as_ref().and_then(|lost| lost.end));
    }
}

#[test]
fn a_batch_with_a_damaged_record_is_lost_whole() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 3);
    let batch: Vec<_> = (3..7).map(payload).collect();
    let slices: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    wal.sync().unwrap();
    append(&wal, 7, 9);
    wal.close().unwrap();
    let mut files = disk.files();
    let name = newest(&files);
    let (_, frame) = frames(&files, &name, 0..9).remove(5);
    files.get_mut(&name).unwrap()[frame.start + 17] ^= 1;
    let (read, lost) = salvaged(&files);
    assert_eq!(read, [0, 1, 2, 7, 8], "INV-W3");
    assert_eq!(lost[0].lsn, Some(Lsn(3)));
    assert_eq!(
        lost[0].lost.as_ref().and_then(|lost| lost.end),
        Some(Lsn(7))
    );
}

/// The records of a batch that was being written are not there, and neither are
/// their bytes.
#[test]
fn a_torn_batch_adds_nothing_to_what_salvage_reports() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 3);
    wal.append_batch(&[[b'b'; 50], [b'b'; 50]]).unwrap();
    wal.flush().unwrap();
    let mut files = kill(&disk, wal).files();
    let name = newest(&files);
    let bytes = files.get_mut(&name).unwrap();
    let last = bytes.iter().rposition(|byte| *byte == b'b').unwrap();
    bytes[last] ^= 1;
    let storage = Arc::new(disk_of(&files));
    let reader = WalReader::with_storage(storage.clone()).unwrap();
    let salvage = Salvage::with_storage(storage).unwrap();
    assert_eq!(salvage.report(), &reader.verify());
    assert_eq!(salvage.report().records, 3, "INV-W3");
}

#[test]
fn a_sound_log_is_neither_cut_nor_changed_by_a_policy() {
    let files = closed_log();
    assert_eq!(salvaged(&files), (all_but(0..0), Vec::new()));
    let disk = disk_of(&files);
    let wal = try_cut(&disk).unwrap();
    assert_eq!(
        (wal.next_lsn(), wal.report().cut.clone()),
        (Lsn(RECORDS), None)
    );
}

#[test]
fn the_power_may_go_at_any_step_of_a_cut() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let mut flipped = files.clone();
    let (_, frame) = frames(&files, &names[1], 10..20).remove(4);
    flipped.get_mut(&names[1]).unwrap()[frame.start + 18] ^= 1;
    let mut missing = files.clone();
    missing.remove(&names[1]);
    let mut without_newest = files.clone();
    without_newest.remove(&names[2]);
    let mut headless = files.clone();
    headless.get_mut(&names[2]).unwrap()[..8192].fill(0);
    let cases = [
        (flipped, 14),
        (missing, 10),
        (without_newest, 20),
        (headless, 20),
    ];
    for (files, end) in cases {
        let mut interrupted = 0;
        for step in 1.. {
            let disk = disk_of(&files);
            disk.power_off_at(step);
            let is_done = try_cut(&disk).is_ok();
            let mut is_cut = false;
            some_outcomes(&disk, |found| {
                match Wal::with_storage(Arc::new(found.clone()), small().verify(Verify::All)) {
                    Ok(wal) => {
                        assert_eq!(wal.next_lsn(), Lsn(end), "step {step}: INV-W8");
                        is_cut = true;
                        drop(wal);
                    }
                    Err(OpenError::Damaged(_)) => assert!(!is_done, "step {step}: it was cut"),
                    Err(other) => panic!("step {step}: {other}"),
                }
                let again = try_cut(found).unwrap();
                assert_eq!(again.next_lsn(), Lsn(end), "step {step}: INV-W9");
            });
            if is_done {
                assert!(is_cut);
                break;
            }
            interrupted += 1;
        }
        assert!(interrupted > 5, "{interrupted} steps");
    }
}

/// The numbers of a linear congruence: the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn hurt(files: &mut Files, numbers: &mut Numbers) {
    let names: Vec<_> = files.keys().cloned().collect();
    let name = &names[numbers.below(names.len())];
    let bytes = files.get_mut(name).unwrap();
    let used = [92, 4096 + 92, bytes.len().min(10_000)][numbers.below(3)].min(bytes.len());
    if used == 0 {
        return;
    }
    match numbers.below(6) {
        0 => bytes.truncate(numbers.below(used)),
        1 => {
            let start = numbers.below(used) / 512 * 512;
            let end = (start + 512).min(bytes.len());
            bytes[start..end].fill(0);
        }
        2 if names.len() > 1 => drop(files.remove(name)),
        3 => {
            let other = files[&names[numbers.below(names.len())]].clone();
            files.insert(name.clone(), other);
        }
        _ => bytes[numbers.below(used)] ^= 1 << numbers.below(8),
    }
}

#[test]
fn whatever_is_damaged_salvage_reads_the_rest_and_a_cut_log_opens() {
    let sound = closed_log();
    let mut numbers = Numbers(1);
    let (mut cuts, mut losses) = (0, 0);
    for case in 0..1500 {
        let mut files = sound.clone();
        for _ in 0..=numbers.below(3) {
            hurt(&mut files, &mut numbers);
        }
        let (read, lost) = salvaged(&files);
        assert!(
            read.is_sorted_by(|one, next| one < next),
            "case {case}: INV-C1"
        );
        losses += usize::from(!lost.is_empty());
        let disk = disk_of(&files);
        let wal = try_cut(&disk).unwrap_or_else(|error| panic!("case {case}: {error}"));
        cuts += usize::from(wal.report().cut.is_some());
        let kept: Vec<_> = wal.iter().map(|record| record.unwrap().lsn().0).collect();
        assert!(
            read.starts_with(&kept),
            "case {case}: a cut keeps a part of what is readable"
        );
        assert_eq!(
            wal.report().cut.is_some(),
            !lost.is_empty(),
            "case {case}: {lost:?}"
        );
        wal.close().unwrap();
        let again = Wal::with_storage(Arc::new(disk), small().verify(Verify::All));
        let again = again.unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert_eq!(again.iter().count(), kept.len(), "case {case}: INV-W9");
    }
    assert!(cuts > 500 && losses > 500, "{cuts} {losses}");
}

/// A segment of another log, which that was cut in front of and begins with.
fn put_the_beginning_of_another_log(files: &mut Files) -> String {
    let header = Header {
        log_uuid: [9; 16],
        id: 9,
        salt: 9,
        base: Lsn(5),
        capacity_bytes: 16 << 10,
        recycled: false,
        truncates: true,
        predecessor: None,
    };
    let mut bytes = vec![0; 16 << 10];
    let encoded = header.encode();
    for place in [0, 4096] {
        bytes[place..place + encoded.len()].copy_from_slice(&encoded);
    }
    let name = header.name().to_string();
    files.insert(name.clone(), bytes);
    name
}

#[test]
fn fault_50_a_segment_of_another_log_discards_nothing_of_this_one() {
    let mut files = closed_log();
    let strange = put_the_beginning_of_another_log(&mut files);
    let disk = disk_of(&files);
    let refused = try_open(&disk);
    assert!(
        matches!(&refused, Err(OpenError::Foreign { path, .. }) if path.ends_with(&strange)),
        "{refused:?}"
    );
    assert_eq!(disk.files(), files, "nothing was touched");
    let (numbers, lost) = salvaged(&files);
    assert_eq!((numbers, lost.len()), ((0..RECORDS).collect(), 1));
}

#[test]
fn fault_50_a_cut_takes_a_segment_of_another_log_away_whenever_the_power_goes() {
    let mut files = closed_log();
    put_the_beginning_of_another_log(&mut files);
    for step in 0.. {
        let disk = disk_of(&files);
        disk.power_off_at(disk.steps() + step);
        let opened = try_cut(&disk);
        let is_over = opened.is_ok() && !disk.is_off();
        disk.power_off_at(0);
        drop(opened);
        some_outcomes(&disk, |found| {
            let wal = try_cut(found).unwrap();
            assert_eq!(wal.next_lsn(), Lsn(RECORDS), "INV-W9: step {step}");
            assert_eq!(wal.iter().filter_map(Result::ok).count() as u64, RECORDS);
        });
        if is_over {
            assert!(step > 5, "{step} steps");
            break;
        }
    }
}
