//! Verbs on a simulated disk.

use std::sync::Arc;

use log_wal::storage::sim::{Chance, EveryOutcome, SimStorage, Unsynced};
use log_wal::{OpenError, Wal};

use crate::common::memory::Memory;
use crate::common::{Files, append, payload, small};

pub(crate) fn new_disk() -> SimStorage {
    disk_with(Files::new())
}

/// A disk on which these files were found, of a log that is written as the
/// tests of this binary want it.
pub(crate) fn disk_with(files: Files) -> SimStorage {
    let disk = SimStorage::with_files(1, files);
    if crate::MAPPED_WRITING {
        disk.map_files(Memory::of_sim);
    }
    disk
}

pub(crate) fn try_open(disk: &SimStorage) -> Result<Wal, OpenError> {
    Wal::with_storage(Arc::new(disk.clone()), small())
}

pub(crate) fn open(disk: &SimStorage) -> Wal {
    try_open(disk).expect("the log opens")
}

/// The process dies, and with it everything that it had not written.
pub(crate) fn kill(disk: &SimStorage, wal: Wal) -> SimStorage {
    let left = disk.process_death();
    disk.power_off_at(0);
    drop(wal);
    left
}

/// The power goes, and everything unsynced is lost.
pub(crate) fn lose_all(disk: &SimStorage) -> SimStorage {
    disk.power_loss(&mut |_: &Unsynced<'_>| 0)
}

/// The power goes, and everything had reached the medium.
pub(crate) fn keep_all(disk: &SimStorage) -> SimStorage {
    disk.power_loss(&mut |unsynced: &Unsynced<'_>| unsynced.outcomes() - 1)
}

/// A log with a torn tail, on a disk without a free byte.
pub(crate) fn torn_and_full() -> SimStorage {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 20);
    wal.sync().unwrap();
    append(&wal, 20, 60);
    wal.flush().unwrap();
    let left = kill(&disk, wal);
    let mut sectors = 0;
    let torn = left.power_loss(&mut |unsynced: &Unsynced<'_>| {
        sectors += 1;
        if sectors == 2 {
            0
        } else {
            unsynced.outcomes() - 1
        }
    });
    torn.set_capacity(Some(0));
    torn
}

/// Shows each outcome of a power loss. Returns how many there are.
pub(crate) fn each_outcome(disk: &SimStorage, mut see: impl FnMut(&SimStorage)) -> usize {
    let mut outcomes = EveryOutcome::default();
    let mut seen = 0;
    while outcomes.advance() {
        see(&disk.power_loss(&mut outcomes));
        seen += 1;
    }
    seen
}

/// Shows the two extremes of a power loss, and some outcomes by chance.
pub(crate) fn some_outcomes(disk: &SimStorage, mut see: impl FnMut(&SimStorage)) {
    see(&lose_all(disk));
    see(&keep_all(disk));
    for seed in 0..30 {
        see(&disk.power_loss(&mut Chance::seeded(seed)));
    }
}

/// Opens what was found after a crash, and checks that it holds a prefix of
/// what was appended and all that was acknowledged, and that it goes on.
/// Returns how many records it had.
pub(crate) fn recovered(
    found: &SimStorage,
    acknowledged: u64,
    appended: u64,
) -> Result<u64, String> {
    let wal = try_open(found).map_err(|refusal| format!("refused: {refusal}"))?;
    let count = wal.next_lsn().0;
    if !(acknowledged..=appended).contains(&count) {
        return Err(format!(
            "INV-W1, INV-W3: {count} records of {acknowledged} to {appended}"
        ));
    }
    check_records(&wal)?;
    append(&wal, count, count + 3);
    wal.close().map_err(|error| error.to_string())?;
    let again = try_open(&lose_all(found)).map_err(|refusal| format!("then refused: {refusal}"))?;
    check_records(&again)?;
    if again.next_lsn().0 != count + 3 {
        return Err("it does not go on".to_owned());
    }
    Ok(count)
}

/// Whether a log has the right record under each of its numbers.
fn check_records(wal: &Wal) -> Result<(), String> {
    let mut lsn = wal.first_lsn().0;
    for record in wal.iter() {
        let record = record.map_err(|error| error.to_string())?;
        if record.payload() != payload(lsn) {
            return Err(format!("INV-W3: record {lsn} is another one"));
        }
        lsn += 1;
    }
    if lsn != wal.next_lsn().0 {
        return Err(format!("INV-W3: it ends before record {lsn}"));
    }
    Ok(())
}

/// The same, where anything else is a failed test.
pub(crate) fn must_recover(found: &SimStorage, acknowledged: u64, appended: u64) -> u64 {
    match recovered(found, acknowledged, appended) {
        Ok(count) => count,
        Err(broken) => panic!("{broken}"),
    }
}
