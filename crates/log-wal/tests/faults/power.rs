//! The power goes.

use log_wal::format::{FrameKey, Header, MARK_BYTES};
use log_wal::storage::sim::{DirectoryOrder, SECTOR_BYTES, SimStorage, Unsynced, What};
use log_wal::{Lsn, TailState, Wal};

use crate::common::{append, payload, try_append};
use crate::disk::{
    disk_with, each_outcome, kill, lose_all, must_recover, new_disk, open, recovered, some_outcomes,
};

const FRAME_HEADER_BYTES: usize = 16;

/// A log with `acknowledged` durable records, and a group behind them, up to
/// `appended`, that was written and not synced.
fn with_open_group(disk: SimStorage, acknowledged: u64, appended: u64) -> SimStorage {
    let wal = open(&disk);
    append(&wal, 0, acknowledged);
    wal.sync().unwrap();
    append(&wal, acknowledged, appended);
    wal.flush().unwrap();
    kill(&disk, wal)
}

/// Where each record of the first segment ends, if the one with number
/// `marked` carries a mark.
fn ends(records: u64, marked: u64) -> Vec<usize> {
    let mut end = 8192;
    let frame = |lsn| FRAME_HEADER_BYTES + payload(lsn).len().next_multiple_of(8);
    (0..records)
        .map(|lsn| {
            end += frame(lsn) + if lsn == marked { MARK_BYTES } else { 0 };
            end
        })
        .collect()
}

#[test]
fn fault_09_whatever_sectors_of_the_last_group_survive_the_longest_whole_prefix_is_found() {
    let (acknowledged, appended) = (10, 72);
    let disk = with_open_group(new_disk(), acknowledged, appended);
    let ends = ends(appended, acknowledged);
    let first_sector = ends[acknowledged as usize - 1] / SECTOR_BYTES;
    let sectors = ends[appended as usize - 1].div_ceil(SECTOR_BYTES) - first_sector;
    assert!((10..=12).contains(&sectors), "{sectors} sectors");

    for kept in 0..1_u64 << sectors {
        let survives = |sector: u64| kept >> (sector as usize - first_sector) & 1 == 1;
        let found = disk.power_loss(&mut |unsynced: &Unsynced<'_>| match unsynced.what {
            What::Sector(sector) if !survives(sector) => 0,
            _ => unsynced.outcomes() - 1,
        });
        let whole_bytes = (first_sector + kept.trailing_ones() as usize) * SECTOR_BYTES;
        let expected = ends.iter().filter(|end| **end <= whole_bytes).count() as u64;
        let count = must_recover(&found, acknowledged, appended);
        assert_eq!(count, expected.max(acknowledged), "kept {kept:b}");
    }
}

/// A segment file that was used before for records of the same lengths, with
/// the same numbers.
fn recycled() -> SimStorage {
    let disk = new_disk();
    drop(open(&disk));
    let mut files = disk.files();
    for bytes in files.values_mut() {
        let header = Header::decode(bytes).expect("a header");
        let recycled = Header {
            recycled: true,
            ..header
        };
        bytes[..92].copy_from_slice(&recycled.encode());
        bytes[4096..4096 + 92].copy_from_slice(&recycled.encode());
        let earlier = FrameKey::new(header.salt ^ 1);
        let mut position = 8192;
        for lsn in 0.. {
            let old = vec![0xAA; payload(lsn).len()];
            let frame_bytes = FRAME_HEADER_BYTES + old.len().next_multiple_of(8);
            let Some(cell) = bytes.get_mut(position..position + frame_bytes) else {
                break;
            };
            let word = earlier.build_record(cell, position as u64, Lsn(lsn), &old, (true, true));
            cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
            position += frame_bytes;
        }
    }
    disk_with(files)
}

#[test]
fn fault_10_what_an_earlier_use_of_the_file_left_is_never_taken_for_a_record() {
    let disk = with_open_group(recycled(), 10, 66);
    let outcomes = each_outcome(&disk, |found| {
        must_recover(found, 10, 66);
    });
    assert!(outcomes >= 1 << 8, "{outcomes} outcomes");
}

#[test]
fn fault_11_garbage_in_lost_sectors_is_never_taken_for_a_record() {
    for disk in [new_disk(), recycled()] {
        disk.allow_garbage(true);
        let disk = with_open_group(disk, 10, 54);
        let outcomes = each_outcome(&disk, |found| {
            must_recover(found, 10, 54);
        });
        assert!(outcomes >= 3_usize.pow(6), "{outcomes} outcomes");
    }
}

/// What is done in the tests that crash at each step: groups, a rotation, and
/// groups again. Returns how many records are acknowledged.
fn rotate_among_groups(wal: &Wal) -> u64 {
    let mut acknowledged = 0;
    for group in 0..6 {
        let appended = try_append(wal, 40 * group, 40 * group + 40);
        if appended.is_err() || wal.sync().is_err() || (group == 2 && wal.rotate().is_err()) {
            break;
        }
        acknowledged = wal.watermarks().durable_end.0;
    }
    acknowledged
}

/// Lets the power go at each step, from opening an empty disk to closing.
fn at_each_step(order: DirectoryOrder, mut see: impl FnMut(&SimStorage, u64)) {
    for step in 0.. {
        let disk = new_disk();
        disk.set_directory_order(order);
        disk.power_off_at(step);
        let Ok(wal) = crate::disk::try_open(&disk) else {
            see(&disk, 0);
            continue;
        };
        let acknowledged = rotate_among_groups(&wal);
        let is_over = !disk.is_off();
        see(&kill(&disk, wal), acknowledged);
        if is_over {
            assert!(step > 20, "{step} steps");
            return;
        }
    }
}

#[test]
fn fault_20_the_power_may_go_at_any_step_of_a_rotation() {
    for order in [DirectoryOrder::Journaled, DirectoryOrder::Any] {
        let mut outcomes = 0;
        at_each_step(order, |disk, acknowledged| {
            outcomes += each_outcome(disk, |found| {
                must_recover(found, acknowledged, 240);
            });
        });
        assert!(outcomes > 1000, "{outcomes} outcomes");
    }
}

#[test]
fn fault_22_a_second_crash_while_recovering_changes_nothing() {
    let disk = with_open_group(new_disk(), 10, 60);
    // The group's first sector is lost, so that there is a tail to cut.
    let mut lost = false;
    let torn = disk.power_loss(&mut |unsynced: &Unsynced<'_>| {
        let first = !std::mem::replace(&mut lost, true);
        if first { 0 } else { unsynced.outcomes() - 1 }
    });
    let wal = open(&torn.process_death());
    assert_ne!(wal.report().tail, TailState::Clean);
    let count = wal.next_lsn().0;
    for step in 0.. {
        let again = torn.process_death();
        again.power_off_at(again.steps() + step);
        let opened = crate::disk::try_open(&again);
        let is_over = opened.is_ok() && !again.is_off();
        again.power_off_at(0);
        drop(opened);
        some_outcomes(&again, |found| {
            assert_eq!(must_recover(found, count, count), count, "INV-W9");
        });
        if is_over {
            assert!(step > 5, "{step} steps");
            break;
        }
    }
}

#[test]
fn fault_23_what_was_discarded_stays_gone_through_any_number_of_crashes() {
    let mut disk = new_disk();
    let mut model: Vec<Vec<u8>> = Vec::new();
    for life in 0_u8..60 {
        let wal = open(&disk);
        let found: Vec<_> = wal.iter().map(|record| record.unwrap()).collect();
        assert!(found.len() <= model.len(), "INV-W3");
        model.truncate(found.len());
        for (record, appended) in found.iter().zip(&model) {
            assert_eq!(record.payload(), appended, "INV-W8: life {life}");
        }
        for record in 0..12 {
            let payload = vec![life ^ record << 4; 100];
            wal.append(&payload).unwrap();
            model.push(payload);
        }
        wal.flush().unwrap();
        // One sector of the group is lost, another one each time; what lies
        // behind it is there, and fits into what the next life appends.
        let left = kill(&disk, wal);
        let mut sector = 0;
        disk = left.power_loss(&mut |unsynced: &Unsynced<'_>| {
            sector += u8::from(matches!(unsynced.what, What::Sector(_)));
            let is_lost = sector == life % 3 + 1;
            if is_lost { 0 } else { unsynced.outcomes() - 1 }
        });
    }
}

#[test]
fn fault_26_a_record_behind_a_hole_is_cut_with_the_hole() {
    let disk = with_open_group(new_disk(), 10, 60);
    let hole = ends(60, 10)[30] as u64 / SECTOR_BYTES as u64;
    let found = disk.power_loss(&mut |unsynced: &Unsynced<'_>| match unsynced.what {
        What::Sector(sector) if sector == hole => 0,
        _ => unsynced.outcomes() - 1,
    });
    let expected = ends(60, 10)
        .iter()
        .filter(|end| **end as u64 <= hole * SECTOR_BYTES as u64)
        .count();
    assert_eq!(must_recover(&found, 10, 60), expected as u64);
}

#[test]
fn fault_27_half_a_batch_is_none_of_it() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    let payloads: Vec<_> = (5..55).map(payload).collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    wal.flush().unwrap();
    let left = kill(&disk, wal);
    let (mut none, mut all) = (0, 0);
    each_outcome(&left, |found| match must_recover(found, 5, 55) {
        5 => none += 1,
        55 => all += 1,
        count => panic!("INV-W3: {count} records"),
    });
    assert!(
        none > 30 && all == 1,
        "{none} without, {all} with the batch"
    );
}

#[test]
fn fault_31_a_truncation_that_dies_leaves_the_old_log_or_the_new_one() {
    for order in [DirectoryOrder::Journaled, DirectoryOrder::Any] {
        for end in [0, 7, 12, 19] {
            let mut ends_seen = Vec::new();
            for step in 0.. {
                let disk = new_disk();
                disk.set_directory_order(order);
                let mut wal = open(&disk);
                append(&wal, 0, 10);
                wal.rotate().unwrap();
                append(&wal, 10, 20);
                wal.sync().unwrap();
                disk.power_off_at(disk.steps() + step);
                let truncated = wal.truncate_after(Lsn(end)).is_ok();
                some_outcomes(&kill(&disk, wal), |found| {
                    let count = recovered(found, 0, 20).unwrap();
                    assert!(count == end || (count == 20 && !truncated), "{count}");
                    ends_seen.push(count);
                });
                if truncated {
                    break;
                }
            }
            assert!(ends_seen.contains(&20) && ends_seen.contains(&end));
        }
    }
}

#[test]
fn a_restart_shows_nothing_that_a_failed_sync_kept_from_the_medium() {
    use log_wal::storage::sim::{Failure, Fault, Operation};
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    append(&wal, 5, 9);
    disk.inject(Fault::on(Operation::Sync, Failure::PagesLost));
    assert!(wal.sync().is_err());
    let restarted = kill(&disk, wal);

    let wal = open(&restarted);
    let shown = wal.next_lsn().0;
    assert_eq!(shown, 9, "the page cache shows them");
    let wal_left = kill(&restarted, wal);
    assert_eq!(must_recover(&lose_all(&wal_left), shown, 9), shown);
}
