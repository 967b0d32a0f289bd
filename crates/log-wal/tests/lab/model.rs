//! What the log should hold: a vector, and what was promised of it.

use log_wal::{Lsn, Wal, Watermarks};

/// A record as the lab appends it: every one is unlike all others of its
/// history, so that one which comes back is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub payload: Vec<u8>,
    /// Whether the log may end behind it: it is the last of its batch.
    pub ends_batch: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub records: Vec<Appended>,
    /// Records below this were acknowledged as written, or as durable.
    pub written_end: usize,
    pub durable_end: usize,
    /// Records below `first_min` were dropped, those below `first_max` may
    /// have been.
    pub first_min: usize,
    pub first_max: usize,
    /// Where a truncation began to cut that has not returned.
    pub cut: Option<usize>,
    made: u64,
}

impl Model {
    /// A payload that no other record of this history has, as long as it is
    /// eight bytes or longer.
    pub(crate) fn payload(&mut self, len_bytes: usize) -> Vec<u8> {
        self.made += 1;
        let id = self.made.to_le_bytes();
        // One in four ends in zeros, which are what an unwritten disk shows.
        let filler = if self.made.is_multiple_of(4) {
            0
        } else {
            id[0] | 1
        };
        let mut payload = vec![filler; len_bytes];
        for (byte, id) in payload.iter_mut().zip(id) {
            *byte = id;
        }
        payload
    }

    /// What an open log shows is durable.
    pub(crate) fn opened(&mut self, wal: &Wal) {
        self.durable_end = wal.next_lsn().0 as usize;
        self.first_min = wal.first_lsn().0 as usize;
        self.first_max = self.first_min;
    }

    pub(crate) fn push(&mut self, payload: Vec<u8>, ends_batch: bool) {
        self.records.push(Appended {
            payload,
            ends_batch,
        });
    }

    pub(crate) fn next_lsn(&self) -> Lsn {
        Lsn(self.records.len() as u64)
    }

    /// Takes note of what the log says that it has promised.
    pub(crate) fn acknowledge(&mut self, watermarks: Watermarks) -> Result<(), String> {
        let Watermarks {
            reserved_end,
            published_end,
            written_end,
            durable_end,
        } = watermarks;
        let ordered = durable_end <= written_end
            && written_end <= published_end
            && published_end <= reserved_end;
        if !ordered {
            return Err(format!("out of order: {watermarks:?}"));
        }
        if published_end != self.next_lsn() {
            return Err(format!(
                "INV-C7: published up to {published_end}, appended up to {}",
                self.next_lsn()
            ));
        }
        self.written_end = self.written_end.max(written_end.0 as usize);
        self.durable_end = self.durable_end.max(durable_end.0 as usize);
        Ok(())
    }

    /// The log ends here now; batches may be cut.
    pub(crate) fn truncate(&mut self, end: usize) {
        self.records.truncate(end);
        if let Some(last) = self.records.last_mut() {
            last.ends_batch = true;
        }
        self.written_end = end;
        self.durable_end = end;
        self.cut = None;
    }

    /// Whether the log may begin with this record.
    pub(crate) fn check_first(&self, first: Lsn) -> Result<(), String> {
        if (self.first_min..=self.first_max).contains(&(first.0 as usize)) {
            return Ok(());
        }
        Err(format!(
            "INV-F2: the log begins with {first}, where {} to {} may be",
            self.first_min, self.first_max
        ))
    }

    /// Whether the log may have been found with this many records, of which
    /// `promised` had to be there.
    pub(crate) fn check_end(&self, count: usize, promised: usize) -> Result<(), String> {
        if self.cut == Some(count) {
            return Ok(());
        }
        if count < promised {
            return Err(format!(
                "INV-W1: {promised} records were acknowledged, {count} are there"
            ));
        }
        if count > self.records.len() {
            return Err(format!(
                "INV-W3: {} records were appended, {count} are there",
                self.records.len()
            ));
        }
        let is_whole = count == 0 || self.records[count - 1].ends_batch;
        if !is_whole {
            return Err(format!("INV-W3: a batch is cut at record {count}"));
        }
        Ok(())
    }

    /// Whether a record is the one that was appended under its number.
    pub(crate) fn check_record(&self, lsn: Lsn, payload: &[u8]) -> Result<(), String> {
        match self.records.get(lsn.0 as usize) {
            Some(appended) if appended.payload == payload => Ok(()),
            _ => Err(format!(
                "INV-W3, INV-W8: record {lsn} is {:02x?}, which was not appended as that",
                &payload[..payload.len().min(8)]
            )),
        }
    }

    /// The log goes on from here. Returns how many records are gone.
    pub(crate) fn found(&mut self, first: Lsn, count: usize, on_medium: bool) -> usize {
        let discarded = self.records.len() - count;
        let durable_end = self.durable_end.min(count);
        self.truncate(count);
        self.first_max = first.0 as usize;
        if on_medium {
            self.first_min = first.0 as usize;
        } else {
            self.durable_end = durable_end;
        }
        discarded
    }
}
