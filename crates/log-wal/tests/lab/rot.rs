//! What rots, and the policies for it: salvage, and a cut.
//!
//! Where nothing is damaged they find what a plain opening finds. Where
//! something is, salvage shows what it may, a cut leaves the records in front
//! of the damage, and neither a crash in the middle nor a later life brings one
//! of the others back.

use std::sync::Arc;

use log_wal::storage::sim::{Chance, SimStorage};
use log_wal::{
    CutReport, Lsn, OpenError, ReadError, RecoveryPolicy, Salvage, Verify, Wal, WalOptions,
};
use rand::{Rng, RngExt};

use super::History;

impl History {
    /// Salvage finds every record of a log that is not damaged.
    pub(super) fn compare_salvage(&mut self, count: usize) -> Result<(), String> {
        let disk = self.disk.process_death();
        let steps = disk.steps();
        let salvage = match Salvage::with_storage(Arc::new(disk.clone())) {
            Ok(salvage) => salvage,
            Err(OpenError::NoLog { .. }) if count == 0 => return Ok(()),
            Err(error) => return Err(format!("not salvaged: {error}")),
        };
        if salvage.cut_plan().is_some() {
            let damage = &salvage.report().damage;
            return Err(format!("salvage finds damage where none is: {damage:?}"));
        }
        let read = self.read_salvage(&salvage)?;
        let last = read.last().map_or(0, |lsn| lsn.0 as usize + 1);
        let reported = salvage.report().records as usize;
        if reported != read.len() || read.len() > count || (last != count && !read.is_empty()) {
            return Err(format!(
                "salvage reads {} records up to {last}, and reports {reported} of {count}",
                read.len()
            ));
        }
        if disk.steps() != steps {
            return Err("salvage writes".to_owned());
        }
        Ok(())
    }

    /// The numbers of the records that can be read, each of which must be what
    /// was appended.
    fn read_salvage(&self, salvage: &Salvage) -> Result<Vec<Lsn>, String> {
        let model = self.model();
        let mut read = Vec::new();
        for item in salvage {
            match item {
                Ok(record) => {
                    model.check_record(record.lsn(), record.payload())?;
                    read.push(record.lsn());
                }
                Err(ReadError::Damaged(_)) => {}
                Err(error) => return Err(format!("salvaging: {error}")),
            }
        }
        if !read.is_sorted_by(|one, next| one < next) {
            return Err(format!("INV-C1: salvage reads {read:?}"));
        }
        Ok(read)
    }

    /// Something rots, the log is looked at, and cut if it must be, perhaps in
    /// several attempts. The next life goes on behind the cut.
    pub(super) fn rot(&mut self) -> Result<(), String> {
        let mut disk = self.settled()?;
        if !self.damage(&disk) {
            return Ok(());
        }
        self.tally.rotten += 1;
        let salvage = Salvage::with_storage(Arc::new(disk.clone()));
        let salvage = salvage.map_err(|error| format!("not salvaged: {error}"))?;
        let plan = salvage.cut_plan();
        let salvaged = self.read_salvage(&salvage)?;
        self.check_refusal(&disk, plan.as_ref())?;

        for _ in 0..self.random.random_range(0..3) {
            let steps = self.random.random_range(0..16);
            disk.power_off_at(disk.steps() + steps);
            // Whether it came so far, what is found next must not depend on.
            let _opened = Wal::with_storage(Arc::new(disk.clone()), self.cutting());
            disk.power_off_at(0);
            disk = disk.power_loss(&mut Chance::seeded(self.random.next_u64()));
            self.tally.states += 1;
            self.tally.power_losses += 1;
        }
        let wal = Wal::with_storage(Arc::new(disk.clone()), self.cutting());
        let wal = wal.map_err(|refusal| format!("not cut: {refusal}"))?;
        self.check_cut(&wal, plan.as_ref(), &salvaged)?;
        let (first, count) = (wal.first_lsn(), wal.next_lsn().0 as usize);
        disk.power_off_at(0);
        drop(wal);
        self.disk = disk.process_death();
        self.model().found(first, count, true);
        self.tally.cuts += u64::from(plan.is_some());
        Ok(())
    }

    /// The disk after an opening, which has made durable what it shows and ended
    /// a torn tail: whole records behind that are no part of the log any more.
    fn settled(&mut self) -> Result<SimStorage, String> {
        let disk = self.disk.process_death();
        let wal = self.open(&disk)?;
        disk.power_off_at(0);
        drop(wal);
        Ok(disk.process_death())
    }

    fn cutting(&self) -> WalOptions {
        let options = self.options.clone().verify(Verify::All);
        options.recovery(RecoveryPolicy::CutToLastGood)
    }

    /// Damages a byte of some segment, or the same one of both of its headers.
    /// False if there is none.
    fn damage(&mut self, disk: &SimStorage) -> bool {
        let files = disk.files();
        let segments: Vec<_> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".log"))
            .collect();
        if segments.is_empty() {
            return false;
        }
        let (name, bytes) = segments[self.random.random_range(0..segments.len())];
        let bits = self.random.random_range(1..=255_u8);
        let places = match self.random.random_range(0..10) {
            0 => {
                let at = self.random.random_range(0..92);
                vec![at, 4096 + at]
            }
            _ => {
                let used: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                vec![used[self.random.random_range(0..used.len())]]
            }
        };
        disk.damage(name, |bytes| {
            for at in &places {
                bytes[*at] ^= bits;
            }
        })
    }

    /// The log is refused if, and only if, a cut is planned.
    fn check_refusal(&self, disk: &SimStorage, plan: Option<&CutReport>) -> Result<(), String> {
        let options = self.options.clone().verify(Verify::All);
        let copy = disk.process_death();
        let opened = Wal::with_storage(Arc::new(copy.clone()), options);
        copy.power_off_at(0);
        match (opened, plan) {
            (Ok(_), None) => Ok(()),
            (Err(OpenError::Damaged(_) | OpenError::Foreign { .. }), Some(_)) => Ok(()),
            (Ok(_), Some(plan)) => Err(format!("opens, and would be cut: {plan:?}")),
            (Err(refusal), _) => Err(format!("nothing to cut, and refused: {refusal}")),
        }
    }

    /// What is left is what was in front of the damage, all of it.
    fn check_cut(
        &self,
        wal: &Wal,
        plan: Option<&CutReport>,
        salvaged: &[Lsn],
    ) -> Result<(), String> {
        let (model, end) = (self.model(), wal.next_lsn());
        model.check_end(end.0 as usize, 0)?;
        model.check_first(wal.first_lsn())?;
        if let Some(plan) = plan
            && plan.end != end
        {
            return Err(format!("cut at {end}, where {} was said", plan.end));
        }
        let mut left = salvaged.iter().filter(|lsn| **lsn < end);
        for record in wal.iter() {
            let record = record.map_err(|error| format!("reading: {error}"))?;
            model.check_record(record.lsn(), record.payload())?;
            if left.next() != Some(&record.lsn()) {
                return Err(format!("{} was not salvaged", record.lsn()));
            }
        }
        match left.next() {
            None => Ok(()),
            Some(lsn) => Err(format!("record {lsn} was salvaged, and did not stay")),
        }
    }
}
