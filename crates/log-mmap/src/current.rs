//! The current version of something that readers look at without a lock.
//!
//! A version never changes. Who has a new one appends it to a log of versions
//! in memory, of which readers see the newest: an [`AtomicLog`] keeps a version
//! for as long as somebody looks at it, never makes a reader wait for a writer
//! or a writer for a reader (`INV-C6`), and uses its memory again.

use std::fmt;
use std::sync::Arc;

use log_wal::Lsn;
use log_wal::atomic_log::{AtomicLog, Snapshot, Writer};

use crate::sync::{Mutex, lock};

/// The current version of something.
pub(crate) struct Current<T> {
    versions: AtomicLog<Arc<T>>,
    /// Locked while another version is made, so that none gets lost.
    writer: Mutex<Writer<Arc<T>>>,
}

impl<T: Send + Sync> Current<T> {
    pub(crate) fn new(first: T) -> Self {
        // One version to a segment, and as few segments as there can be.
        let (mut writer, versions) = AtomicLog::new_claimed(1, 1);
        append(&mut writer, first);
        Self {
            versions,
            writer: Mutex::new(writer),
        }
    }

    /// Shows the current version. What it shows should not be looked at for
    /// long: it cannot go away meanwhile.
    #[inline]
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(newest(&self.versions.snapshot()))
    }

    /// The current version, and those that there will be, for a reader that
    /// looks often.
    pub(crate) fn watch(&self) -> Watch<T> {
        let versions = self.versions.snapshot();
        let newest = Arc::clone(newest(&versions));
        Watch { versions, newest }
    }

    /// Makes another version of the current one, alone; or not, for `None`.
    pub(crate) fn change<R>(&self, next: impl FnOnce(&T) -> (Option<T>, R)) -> R {
        let mut writer = lock(&self.writer);
        let (version, result) = self.look(next);
        if let Some(version) = version {
            append(&mut writer, version);
        }
        result
    }
}

#[inline]
fn newest<T>(versions: &Snapshot<Arc<T>>) -> &Arc<T> {
    let newest = Lsn(versions.end().0.saturating_sub(1));
    let Some(version) = versions.get(newest) else {
        unreachable!("there is a version from the beginning, and retention keeps one")
    };
    version
}

/// The versions of something, one after the other: as long as there is no other
/// one, a look touches nothing that others write to.
pub(crate) struct Watch<T> {
    versions: Snapshot<Arc<T>>,
    newest: Arc<T>,
}

impl<T> Watch<T> {
    /// The current version. It stays until the next look.
    #[inline]
    pub(crate) fn newest(&mut self) -> &T {
        if self.versions.refresh().gained > 0 {
            self.renew();
        }
        &self.newest
    }

    #[cold]
    fn renew(&mut self) {
        // Another snapshot: one that was refreshed keeps what it showed before.
        self.versions = self.versions.log().snapshot();
        self.newest = Arc::clone(newest(&self.versions));
    }
}

/// Twice, because the log retains one version behind the newest: what is not
/// in the new one must be let go now, and not when the next one comes.
fn append<T>(writer: &mut Writer<Arc<T>>, version: T) {
    let version = Arc::new(version);
    writer.append(Arc::clone(&version));
    writer.append(version);
}

impl<T: fmt::Debug + Send + Sync> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|version| version.fmt(f))
    }
}

impl<T: fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.newest.fmt(f)
    }
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_version_goes_when_there_is_another_and_nobody_looks() {
        let held = Arc::new(());
        let current = Current::new(Some(Arc::clone(&held)));
        current.look(|version| {
            assert!(version.is_some());
            current.change(|_| (Some(None), ()));
            assert!(version.is_some(), "INV-C4: what is looked at stays");
            assert_eq!(Arc::strong_count(&held), 2);
        });
        assert_eq!(Arc::strong_count(&held), 1, "gone at once");
        assert!(current.look(Option::is_none));
    }

    #[test]
    fn who_watches_sees_every_change_and_keeps_no_version_but_the_last() {
        let held = Arc::new(());
        let current = Current::new(Some(Arc::clone(&held)));
        let mut watch = current.watch();
        assert!(watch.newest().is_some());
        current.change(|_| (Some(None), ()));
        assert_eq!(Arc::strong_count(&held), 2, "as of the last look");
        assert!(watch.newest().is_none());
        assert_eq!(Arc::strong_count(&held), 1);
        current.change(|_| (Some(Some(Arc::clone(&held))), ()));
        current.change(|_| (Some(None), ()));
        assert!(watch.newest().is_none());
        assert_eq!(Arc::strong_count(&held), 1, "never looked at");
    }

    #[test]
    fn no_change_gets_lost() {
        let current = Current::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        current.change(|count| (Some(count + 1), ()));
                    }
                });
            }
        });
        assert_eq!(current.look(|count| *count), 4000);
    }
}
