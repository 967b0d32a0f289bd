//! The medium gives back something else than what was written.

use std::collections::BTreeMap;

use log_wal::{Damage, Lsn, OpenError, TailState};

use crate::common::{append, count_of_prefix, newest};
use crate::disk::{disk_with, kill, must_recover, new_disk, open, try_open};

type Files = BTreeMap<String, Vec<u8>>;

/// Three segments of ten records; closed.
fn closed_log() -> Files {
    let disk = new_disk();
    let wal = open(&disk);
    for segment in 0..3 {
        append(&wal, segment * 10, segment * 10 + 10);
        if segment < 2 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
    disk.files()
}

fn damage_of(files: Files) -> Damage {
    match try_open(&disk_with(files)) {
        Err(OpenError::Damaged(damage)) => damage,
        other => panic!("not refused: {other:?}"),
    }
}

/// Where frames end: one past the last byte that is not zero.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn fault_08_a_log_cut_at_any_byte_has_the_longest_whole_prefix_of_its_last_group() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 12);
    wal.flush().unwrap();
    let files = kill(&disk, wal).files();
    let name = newest(&files);
    let mut last = 0;
    for len_bytes in 8192..used(&files[&name]) + 8 {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap().truncate(len_bytes);
        let count = must_recover(&disk_with(cut), 0, 12);
        assert!(count >= last, "cut at {len_bytes}");
        last = count;
    }
    assert_eq!(last, 12);
}

#[test]
fn fault_12_each_flipped_bit_of_what_was_acknowledged_is_refused_with_its_place() {
    let files = closed_log();
    let name = newest(&files);
    // The closing mark is the last frame; it has three words.
    let mark = used(&files[&name]).next_multiple_of(8) - 24;
    for at in 8192..mark {
        for bit in 0..8 {
            let mut flipped = files.clone();
            flipped.get_mut(&name).unwrap()[at] ^= 1 << bit;
            let damage = damage_of(flipped);
            assert!(damage.path.ends_with(&name));
            let frame = damage.position as usize..damage.position as usize + 200;
            assert!(frame.contains(&at), "INV-W5: {at} in {damage}");
        }
    }
}

#[test]
fn fault_13_a_flip_in_the_last_group_is_cut_and_marked_as_not_proven() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    append(&wal, 5, 9);
    wal.sync().unwrap();
    let files = kill(&disk, wal).files();
    let name = newest(&files);
    let mut cuts = 0;
    for at in used(&files[&name]) - 60..used(&files[&name]) {
        let mut flipped = files.clone();
        flipped.get_mut(&name).unwrap()[at] ^= 0x40;
        let wal = open(&disk_with(flipped));
        let TailState::Truncated {
            lsn, proven_end, ..
        } = wal.report().tail
        else {
            panic!("a flip at {at} went unnoticed");
        };
        assert_eq!(proven_end, Lsn(5), "only the first group is proven");
        assert!((5..9).contains(&lsn.0));
        assert_eq!(count_of_prefix(wal.iter()), lsn.0);
        cuts += 1;
    }
    assert_eq!(cuts, 60);
}

#[test]
fn fault_14_a_damaged_record_of_zeros_is_not_called_torn() {
    let disk = new_disk();
    let wal = open(&disk);
    wal.append_durable(&[0; 2048]).unwrap();
    wal.append_durable(b"proves it").unwrap();
    let files = kill(&disk, wal).files();
    let name = newest(&files);
    for at in [8192, 8192 + 9, 8192 + 1000] {
        let mut damaged = files.clone();
        damaged.get_mut(&name).unwrap()[at] ^= 0x10;
        assert_eq!(damage_of(damaged).position, 8192, "INV-W5");
    }
    let mut gone = files.clone();
    gone.get_mut(&name).unwrap()[8192..8192 + 512].fill(0);
    assert_eq!(damage_of(gone).position, 8192, "INV-W5: a sector of zeros");
}

#[test]
fn fault_24_a_middle_segment_that_is_missing_swapped_or_doubled_is_refused_by_name() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let mut missing = files.clone();
    missing.remove(&names[1]);
    assert!(damage_of(missing).path.ends_with(&names[2]));

    let mut swapped = files.clone();
    swapped.insert(names[0].clone(), files[&names[1]].clone());
    swapped.insert(names[1].clone(), files[&names[0]].clone());
    let mut doubled = files.clone();
    doubled.insert(names[1].clone(), files[&names[0]].clone());
    for (files, expected) in [(swapped, &names[..2]), (doubled, &names[1..2])] {
        match try_open(&disk_with(files)) {
            Err(OpenError::Foreign { path, .. }) => {
                assert!(expected.iter().any(|name| path.ends_with(name)));
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[test]
fn fault_25_a_missing_last_segment_is_known_by_the_seal_before_it() {
    let mut files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    files.remove(&names[2]);
    let damage = damage_of(files);
    assert!(damage.path.ends_with(&names[1]), "{damage}");
}

#[test]
fn fault_54_a_frame_that_was_written_to_another_place_is_refused() {
    let files = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let frame = 8192..8192 + 48;
    for (from, to, position) in [
        // Over another frame, further on, and over itself in another segment.
        (0, 0, 8192 + 48),
        (1, 2, 8192),
        (0, 2, 8192),
    ] {
        let disk = disk_with(files.clone());
        let misdirected = files[&names[from]][frame.clone()].to_vec();
        let target = position..position + misdirected.len();
        assert!(disk.damage(&names[to], |file| {
            file[target.clone()].copy_from_slice(&misdirected);
        }));
        let found = match try_open(&disk) {
            Err(OpenError::Damaged(_)) => continue,
            Err(other) => panic!("{other}"),
            // A sealed segment is checked when it is read.
            Ok(wal) => wal.iter().find_map(Result::err),
        };
        assert!(found.is_some(), "from {from} to {to} at {position}");
    }
}

#[test]
fn fault_54_a_frame_that_was_written_behind_the_last_one_is_no_record() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.flush().unwrap();
    let left = kill(&disk, wal);
    let files = left.files();
    let name = newest(&files);
    let end = used(&files[&name]).next_multiple_of(8);
    for source in [8192, 8192 + 32] {
        let copied = files[&name][source..source + 64].to_vec();
        let left = left.process_death();
        assert!(left.damage(&name, |file| {
            file[end..end + copied.len()].copy_from_slice(&copied);
        }));
        assert_eq!(must_recover(&left, 5, 5), 5, "INV-W3");
    }
}
