//! A log as the benches see it, and ours as one.

use std::path::Path;

use log_wal::{Level, Lsn, TailState, Wal, WalOptions};

use crate::damage::Contents;

/// A log that takes records from one or more threads, each at the level that
/// it was opened for.
pub trait Log: Sync {
    /// Appends a record, as writer number `writer`.
    ///
    /// # Panics
    ///
    /// If the log refuses it.
    fn append(&self, writer: usize, payload: &[u8]);

    /// Appends several, at once if the log can do that.
    ///
    /// # Panics
    ///
    /// If the log refuses them.
    fn append_batch(&self, writer: usize, payloads: &[&[u8]]) {
        for payload in payloads {
            self.append(writer, payload);
        }
    }

    /// How many syncs it counted since it was opened, if it counts.
    fn syncs(&self) -> Option<u64> {
        None
    }
}

/// How a log is opened in a directory.
pub type Open = fn(&Path, Level) -> Box<dyn Log>;

/// Our log.
#[derive(Debug)]
pub struct Strata {
    wal: Wal,
    level: Level,
}

impl Strata {
    /// With default options.
    ///
    /// # Panics
    ///
    /// If it does not open.
    #[must_use]
    pub fn open(directory: &Path, level: Level) -> Self {
        let wal = Wal::open_with(directory, WalOptions::default());
        Self {
            wal: wal.expect("a fresh log opens"),
            level,
        }
    }

    /// The same, as any log.
    #[must_use]
    pub fn boxed(directory: &Path, level: Level) -> Box<dyn Log> {
        Box::new(Self::open(directory, level))
    }

    /// Opens it and reads everything.
    ///
    /// # Errors
    ///
    /// What it says.
    pub fn contents(directory: &Path) -> Result<Contents, String> {
        let wal = Wal::open(directory).map_err(|error| error.to_string())?;
        let records = wal
            .iter()
            .map(|record| record.map(|record| record.payload().to_vec()));
        Ok(Contents {
            records: records
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?,
            says_cut: wal.report().tail != TailState::Clean,
        })
    }

    /// The log itself.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// Waits until the records below `end` are as safe as they should be.
    ///
    /// # Panics
    ///
    /// If the disk fails.
    #[inline]
    pub fn commit(&self, end: Lsn) {
        if self.level > Level::Published {
            self.wal.commit(end, self.level).expect("the disk works");
        }
    }

    /// Goes on in a segment whose memory was used before, and drops the ones
    /// behind it.
    ///
    /// # Panics
    ///
    /// If the disk fails.
    pub fn next_lap(&self) {
        self.wal.rotate().expect("the disk works");
        self.wal
            .checkpoint(self.wal.next_lsn())
            .expect("the disk works");
    }
}

impl Log for Strata {
    #[inline]
    fn append(&self, _writer: usize, payload: &[u8]) {
        let lsn = self.wal.append(payload).expect("there is room");
        self.commit(Lsn(lsn.0 + 1));
    }

    #[inline]
    fn append_batch(&self, _writer: usize, payloads: &[&[u8]]) {
        let lsns = self.wal.append_batch(payloads).expect("there is room");
        self.commit(lsns.end);
    }

    fn syncs(&self) -> Option<u64> {
        Some(self.wal.stats().syncs)
    }
}
