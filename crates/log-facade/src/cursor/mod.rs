//! How far a consumer has come, kept with the log.
//!
//! A cursor moves only when its consumer says so, and is durable before that
//! call returns (`INV-F5`). It never gets ahead of what is durable of the log:
//! a number that a power cut takes is given to another record, which the
//! consumer would miss. So a consumer that starts again sees some records a
//! second time, and none too few: at least once.
//!
//! The cursors of a log lie in its storage, one small file each, see `file`.
//! Those that pin are known before anything is dropped.

mod error;
mod file;
mod handle;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Storage;
use crate::{Lsn, OpenReport, SegmentInfo};

pub use error::CursorError;
pub use handle::{Cursor, PinBound};

use file::Saved;

/// The layers beneath know no cursors, and count their files as somebody else's.
pub(crate) fn without_cursors(report: &OpenReport) -> OpenReport {
    let mut report = report.clone();
    report.ignored_files.retain(|name| !file::is_cursors(name));
    report
}

/// The cursors of a log.
#[derive(Debug)]
pub(crate) struct Cursors {
    storage: Arc<dyn Storage>,
    /// Those that were asked for, and those that pin, as their files say.
    known: Mutex<BTreeMap<String, Saved>>,
    /// Held by whoever changes a file.
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// The directory was not synced, so nobody can say any more what it has.
    has_failed: bool,
}

impl Cursors {
    /// Looks for cursors that pin. One that cannot be read pins nothing, and
    /// tells why when it is asked for.
    pub(crate) fn open(storage: Arc<dyn Storage>) -> Self {
        let cursors = Self {
            storage,
            known: Mutex::default(),
            writing: Mutex::default(),
        };
        for name in cursors.list().unwrap_or_default() {
            match file::read(cursors.storage.as_ref(), &name) {
                Ok(Some(saved)) if saved.pin.is_some() => {
                    cursors.known().insert(name, saved);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(name, %error, "a cursor pins nothing"),
            }
        }
        cursors
    }

    /// The names of all.
    fn list(&self) -> Result<Vec<String>, CursorError> {
        file::list(self.storage.as_ref())
    }

    /// A cursor as it is known.
    fn get(&self, name: &str) -> Option<Saved> {
        self.known().get(name).copied()
    }

    /// Reads a cursor, or makes it at `first`.
    fn find_or_make(&self, name: &str, first: Lsn) -> Result<Saved, CursorError> {
        file::check_name(name)?;
        let mut writing = self.writing();
        if let Some(saved) = self.get(name) {
            return Ok(saved);
        }
        let saved = match file::find(self.storage.as_ref(), name)? {
            Some(saved) => saved,
            None => {
                let saved = Saved {
                    position: first,
                    pin: None,
                };
                self.write(&mut writing, name, saved)?;
                saved
            }
        };
        self.known().insert(name.to_owned(), saved);
        Ok(saved)
    }

    /// Changes a cursor, durably. Does not touch the disk for no change.
    fn change(&self, name: &str, change: impl FnOnce(&mut Saved)) -> Result<(), CursorError> {
        let mut writing = self.writing();
        let before = self.get(name).ok_or_else(|| CursorError::Removed {
            name: name.to_owned(),
        })?;
        let mut saved = before;
        change(&mut saved);
        if saved != before {
            self.write(&mut writing, name, saved)?;
            self.known().insert(name.to_owned(), saved);
        }
        Ok(())
    }

    /// Sets those back to the start of `cut` that stand behind it, and in it,
    /// durably: the records there are about to be discarded. One that is
    /// damaged stays so.
    pub(crate) fn set_back(&self, cut: RangeInclusive<Lsn>) -> Result<(), CursorError> {
        let end = *cut.start();
        let mut writing = self.writing();
        for name in self.list()? {
            let found = match self.get(&name) {
                Some(known) => Ok(Some(known)),
                None => file::read(self.storage.as_ref(), &name),
            };
            let saved = match found {
                Ok(Some(saved)) if saved.position > end && cut.contains(&saved.position) => saved,
                Ok(_) => continue,
                Err(error @ CursorError::Damaged { .. }) => {
                    tracing::warn!(name, %error, "a cursor is not set back");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let back = Saved {
                position: end,
                ..saved
            };
            self.write(&mut writing, &name, back)?;
            if let Some(known) = self.known().get_mut(&name) {
                *known = back;
            }
        }
        Ok(())
    }

    /// Removes a cursor, durably. Returns whether there was one.
    fn remove(&self, name: &str) -> Result<bool, CursorError> {
        file::check_name(name)?;
        let mut writing = self.writing();
        self.known().remove(name);
        let removed = match self.storage.remove(&file::name_of(name)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(self.failed("remove", &file::name_of(name), error)),
        };
        self.sync_directory(&mut writing)?;
        Ok(removed)
    }

    fn write(&self, writing: &mut Writing, name: &str, saved: Saved) -> Result<(), CursorError> {
        file::write(self.storage.as_ref(), name, saved)?;
        self.sync_directory(writing)
    }

    /// A failed one is not tried again: it might succeed without having done
    /// anything.
    fn sync_directory(&self, writing: &mut Writing) -> Result<(), CursorError> {
        let synced = match writing.has_failed {
            true => Err(io::Error::other("it failed before")),
            false => self.storage.sync_directory(),
        };
        synced.map_err(|error| {
            writing.has_failed = true;
            self.failed("sync", "", error)
        })
    }

    fn failed(&self, action: &'static str, file: &str, source: io::Error) -> CursorError {
        CursorError::Io {
            action,
            path: self.storage.path(file),
            source,
        }
    }

    /// How many cursors pin.
    pub(crate) fn pins(&self) -> usize {
        let known = self.known();
        known.values().filter(|saved| saved.pin.is_some()).count()
    }

    /// The first record that some cursor keeps, of a log of these segments that
    /// ends at `next`.
    pub(crate) fn lowest_pin(&self, segments: &[SegmentInfo], next: Lsn) -> Option<Lsn> {
        let known = self.known();
        let kept = known.values().filter_map(|saved| {
            let bound = saved.pin?;
            Some(saved.position.max(bound.lowest(segments, next)))
        });
        kept.min()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Saved>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
