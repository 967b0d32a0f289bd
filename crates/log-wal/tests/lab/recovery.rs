//! Between two lives: what is found is held against the model.

use std::sync::Arc;

use log_wal::format::Header;
use log_wal::storage::sim::{Chance, SimStorage};
use log_wal::{OpenError, TailState, Wal, WalReader};
use rand::{Rng, RngExt};

use super::{End, History};

impl History {
    /// Opens what was found, compares, and leaves the disk as it was found,
    /// for the next life to open it again.
    pub(super) fn recover(&mut self, end: End) -> Result<(), String> {
        let found = self.disk.process_death();
        self.tally.recycled += u64::from(has_used_file(&found));
        let wal = self.open(&found)?;
        let (first, count) = (wal.first_lsn(), self.compare(&wal, end)?);
        let mut end = end;
        if end == End::ProcessDeath && self.model().cut.is_some() {
            // Only an opening settles on which side of a truncation it is.
            found.power_off_at(0);
            drop(wal);
            self.disk = found.process_death();
            end = End::Close;
        }
        if self.random.random_bool(0.1) {
            self.compare_reader(count)?;
        }
        if self.random.random_bool(0.1) {
            self.compare_salvage(count)?;
        }
        if self.random.random_bool(0.3) {
            self.crash_again(count, end)?;
        }
        // Of what a dead process wrote nothing is durable before the next one
        // has opened the log.
        let on_medium = end != End::ProcessDeath;
        let discarded = self.model().found(first, count, on_medium);
        self.tally.discarded += discarded as u64;
        Ok(())
    }

    /// A log that was crashed, and not rotten, always opens.
    pub(super) fn open(&mut self, disk: &SimStorage) -> Result<Wal, String> {
        let options = self.options();
        Wal::with_storage(Arc::new(disk.clone()), options)
            .map_err(|refusal| format!("refused without damage: {refusal}"))
            .and_then(uncut)
    }

    fn compare(&mut self, wal: &Wal, end: End) -> Result<usize, String> {
        let count = wal.next_lsn().0 as usize;
        let torn = wal.report().tail != TailState::Clean;
        self.tally.torn_tails += u64::from(torn);
        let model = self.model();
        let promised = match end {
            End::PowerLoss | End::Close => model.durable_end,
            End::ProcessDeath => model.written_end,
        };
        model.check_end(count, promised)?;
        if end == End::Close && torn {
            return Err("a closed log has a torn tail".to_owned());
        }
        model.check_first(wal.first_lsn())?;
        let mut seen = wal.first_lsn().0;
        for record in wal.iter() {
            let record = record.map_err(|error| format!("reading: {error}"))?;
            model.check_record(record.lsn(), record.payload())?;
            if record.lsn().0 != seen {
                return Err(format!("INV-C1: {seen} is followed by {}", record.lsn()));
            }
            seen += 1;
        }
        if seen as usize != count {
            return Err(format!("INV-W3: {seen} of {count} records can be read"));
        }
        let acknowledged = model.durable_end.saturating_sub(model.first_max) as u64;
        drop(model);
        self.tally.acknowledged += acknowledged;
        Ok(count)
    }

    /// Who only reads sees the same.
    fn compare_reader(&mut self, count: usize) -> Result<(), String> {
        let disk = self.disk.process_death();
        let steps = disk.steps();
        let reader = match WalReader::with_storage(Arc::new(disk.clone())) {
            Ok(reader) => reader,
            Err(OpenError::NoLog { .. }) if count == 0 => return Ok(()),
            Err(error) => return Err(format!("a reader is refused: {error}")),
        };
        let damage = reader.verify().damage;
        if reader.next_lsn().0 as usize != count || !damage.is_empty() {
            return Err(format!(
                "a reader sees {} of {count}, and {damage:?}",
                reader.next_lsn()
            ));
        }
        if disk.steps() != steps {
            return Err("a reader writes".to_owned());
        }
        Ok(())
    }

    /// The power goes again while the log recovers, perhaps several times.
    fn crash_again(&mut self, count: usize, end: End) -> Result<(), String> {
        let mut disk = self.disk.process_death();
        // What a dead process wrote may be lost until an opening has shown it.
        let mut sure = match end {
            End::ProcessDeath => self.model().durable_end,
            End::PowerLoss | End::Close => count,
        };
        let mut possible = count;
        for _ in 0..self.random.random_range(1..4) {
            let steps = self.random.random_range(0..16);
            disk.power_off_at(disk.steps() + steps);
            let opened = Wal::with_storage(Arc::new(disk.clone()), self.options());
            disk.power_off_at(0);
            if let Ok(wal) = opened {
                let wal = uncut(wal)?;
                let shown = wal.next_lsn().0 as usize;
                again(shown, sure, possible)?;
                (sure, possible) = (shown, shown);
            }
            disk = disk.power_loss(&mut Chance::seeded(self.random.next_u64()));
            self.tally.states += 1;
            self.tally.power_losses += 1;
            self.tally.second_crashes += 1;
        }
        let wal = Wal::with_storage(Arc::new(disk), self.options.clone())
            .map_err(|refusal| format!("refused after a second crash: {refusal}"))?;
        let shown = wal.next_lsn().0 as usize;
        again(shown, sure, possible)?;
        let model = self.model();
        model.check_end(shown, model.durable_end)?;
        model.check_first(wal.first_lsn())?;
        for record in wal.iter() {
            let record = record.map_err(|error| format!("reading: {error}"))?;
            model.check_record(record.lsn(), record.payload())?;
        }
        Ok(())
    }
}

/// A log that was crashed, and not rotten, has nothing to cut off.
pub(super) fn uncut(wal: Wal) -> Result<Wal, String> {
    match &wal.report().cut {
        None => Ok(wal),
        Some(cut) => Err(format!("cut without damage: {cut:?}")),
    }
}

/// Whether the file of some segment was used before.
fn has_used_file(disk: &SimStorage) -> bool {
    let is_used = |(name, bytes): (&String, &Vec<u8>)| {
        name.ends_with(".log") && Header::decode(bytes).is_ok_and(|header| header.recycled)
    };
    disk.files().iter().any(is_used)
}

/// Whether so many records may be found after another crash.
fn again(found: usize, sure: usize, possible: usize) -> Result<(), String> {
    if (sure..=possible).contains(&found) {
        return Ok(());
    }
    Err(format!(
        "INV-W9: {found} records after a second crash, where {sure} to {possible} can be"
    ))
}
