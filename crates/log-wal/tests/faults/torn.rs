//! What a torn tail leaves behind is kept for those who asked for it.

use std::sync::Arc;

use log_wal::storage::sim::{SimStorage, Unsynced};
use log_wal::{OpenError, TailState, Wal, WalOptions};

use crate::common::{append, count_of_prefix, small};
use crate::disk::{kill, new_disk, open, some_outcomes};

fn keeping() -> WalOptions {
    small().keep_torn_tail(true)
}

fn try_open(disk: &SimStorage) -> Result<Wal, OpenError> {
    Wal::with_storage(Arc::new(disk.clone()), keeping())
}

/// A log whose last group lost its second sector.
fn torn_log() -> SimStorage {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 20);
    wal.sync().unwrap();
    append(&wal, 20, 60);
    wal.flush().unwrap();
    let mut sectors = 0;
    kill(&disk, wal).power_loss(&mut |unsynced: &Unsynced<'_>| {
        sectors += 1;
        match sectors {
            2 => 0,
            _ => unsynced.outcomes() - 1,
        }
    })
}

/// What a cut takes from a torn log, and the name that it is kept under.
fn torn_bytes(disk: &SimStorage) -> (String, Vec<u8>) {
    let wal = open(&disk.process_death());
    let TailState::Truncated {
        path,
        position,
        bytes,
        ..
    } = &wal.report().tail
    else {
        panic!("{}", wal.report().tail);
    };
    let segment = path.file_name().unwrap().to_str().unwrap();
    let torn = *position as usize..(position + bytes) as usize;
    let kept = disk.files()[segment][torn].to_vec();
    assert!(kept.len() > 512 && kept.iter().any(|byte| *byte != 0));
    (segment.replace(".log", ".torn"), kept)
}

#[test]
fn the_bytes_of_a_torn_tail_are_kept_when_that_is_asked_for() {
    let disk = torn_log();
    let (name, bytes) = torn_bytes(&disk);
    let wal = try_open(&disk).unwrap();
    let torn_file = wal.report().torn_file.as_ref().unwrap();
    assert_eq!(torn_file.file_name().unwrap().to_str(), Some(name.as_str()));
    assert_eq!(disk.files()[&name], bytes);
    let count = wal.next_lsn().0;
    append(&wal, count, count + 5);
    wal.close().unwrap();

    let wal = try_open(&disk).unwrap();
    assert_eq!(wal.report().torn_file, None, "nothing was torn");
    assert_eq!(wal.report().ignored_files, [""; 0], "it belongs to the log");
    assert_eq!(count_of_prefix(wal.iter()), count + 5);
    assert_eq!(disk.files()[&name], bytes);
}

#[test]
fn nothing_is_kept_that_was_not_asked_for_or_is_not_torn() {
    let torn = torn_log();
    assert_eq!(open(&torn).report().torn_file, None);
    assert!(torn.files().keys().all(|name| name.ends_with(".log")));
    let clean = new_disk();
    assert_eq!(try_open(&clean).unwrap().report().torn_file, None);
}

#[test]
fn without_room_to_keep_it_the_log_stays_as_it_is() {
    let disk = torn_log();
    let before = disk.files();
    disk.set_capacity(Some(0));
    let refused = try_open(&disk);
    assert!(
        matches!(
            &refused,
            Err(OpenError::Io {
                action: "create",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(disk.files(), before);
    disk.set_capacity(None);
    assert!(try_open(&disk).unwrap().report().torn_file.is_some());
}

#[test]
fn a_crash_while_it_is_kept_loses_none_of_it() {
    let torn = torn_log();
    let (name, bytes) = torn_bytes(&torn);
    for step in 0.. {
        let disk = torn.process_death();
        disk.power_off_at(disk.steps() + step);
        let opened = try_open(&disk);
        let is_over = opened.is_ok() && !disk.is_off();
        disk.power_off_at(0);
        drop(opened);
        some_outcomes(&disk, |found| {
            drop(try_open(found).unwrap());
            assert_eq!(
                found.files().get(&name),
                Some(&bytes),
                "INV-W9: step {step}"
            );
        });
        if is_over {
            assert!(step > 8, "{step} steps");
            break;
        }
    }
}
