//! The names in the directory: what is shown, and what the medium holds.

use std::collections::BTreeMap;

use super::power_loss::{Survival, Unsynced, What};

/// A file, whatever it is called.
pub(super) type FileId = u64;

/// How unsynced changes of names may be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectoryOrder {
    /// Those up to some moment survive, as in file systems with one journal
    /// for all metadata (ext4, XFS).
    #[default]
    Journaled,
    /// Each survives or not, as POSIX allows. A renaming is still atomic.
    Any,
}

#[derive(Clone, Debug)]
enum Change {
    Link {
        name: String,
        file: FileId,
    },
    Rename {
        from: String,
        to: String,
        file: FileId,
    },
    Unlink {
        name: String,
        file: FileId,
    },
}

pub(super) type Entries = BTreeMap<String, FileId>;

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    shown: Entries,
    held: Entries,
    /// What was done since the last sync, and in which step.
    unsynced: Vec<(Change, u64)>,
}

impl Directory {
    /// A directory that is on the medium as it is shown.
    pub(super) fn synced(entries: Entries) -> Self {
        Self {
            shown: entries.clone(),
            held: entries,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn shown(&self) -> &Entries {
        &self.shown
    }

    /// What a file is called now; nothing if it was unlinked.
    pub(super) fn name_of(&self, file: FileId) -> &str {
        let mut entries = self.shown.iter();
        entries
            .find(|(_, id)| **id == file)
            .map_or("", |(name, _)| name)
    }

    /// Whether the file may be found under some name, now or after a power
    /// loss.
    pub(super) fn may_show(&self, file: FileId) -> bool {
        let linked = |entries: &Entries| entries.values().any(|id| *id == file);
        let changed = |(change, _): &(Change, u64)| match change {
            Change::Link { file: id, .. } | Change::Rename { file: id, .. } => *id == file,
            Change::Unlink { .. } => false,
        };
        linked(&self.shown) || linked(&self.held) || self.unsynced.iter().any(changed)
    }

    pub(super) fn link(&mut self, name: &str, file: FileId, step: u64) {
        let name = name.to_owned();
        self.change(Change::Link { name, file }, step);
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, file: FileId, step: u64) {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(Change::Rename { from, to, file }, step);
    }

    pub(super) fn unlink(&mut self, name: &str, file: FileId, step: u64) {
        let name = name.to_owned();
        self.change(Change::Unlink { name, file }, step);
    }

    fn change(&mut self, change: Change, step: u64) {
        apply(&mut self.shown, &change);
        self.unsynced.push((change, step));
    }

    /// Brings every change to the medium.
    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.held.clone_from(&self.shown);
    }

    /// What is found when the power is back.
    pub(super) fn after_power_loss(
        &self,
        now: u64,
        order: DirectoryOrder,
        survival: &mut dyn Survival,
    ) -> Entries {
        let mut found = self.held.clone();
        let ages: Vec<u64> = self.unsynced.iter().map(|(_, step)| now - step).collect();
        let survives = match (order, ages.as_slice()) {
            (_, []) => Vec::new(),
            (DirectoryOrder::Journaled, ages) => {
                let first = choose(ages, survival);
                (0..ages.len()).map(|at| at < first).collect()
            }
            (DirectoryOrder::Any, ages) => ages
                .iter()
                .map(|age| choose(&[*age], survival) == 1)
                .collect(),
        };
        for ((change, _), survives) in self.unsynced.iter().zip(survives) {
            if survives {
                apply(&mut found, change);
            }
        }
        found
    }
}

fn choose(ages: &[u64], survival: &mut dyn Survival) -> usize {
    let unsynced = Unsynced {
        file: "",
        what: What::Names,
        ages,
        may_be_garbage: false,
    };
    unsynced.choose(survival)
}

/// Applies a change, also if earlier ones are missing.
fn apply(entries: &mut Entries, change: &Change) {
    let mut unlink = |name: &String, file: &FileId| {
        if entries.get(name) == Some(file) {
            entries.remove(name);
        }
    };
    match change {
        Change::Unlink { name, file } => unlink(name, file),
        Change::Link { name, file } => {
            entries.insert(name.clone(), *file);
        }
        Change::Rename { from, to, file } => {
            unlink(from, file);
            entries.insert(to.clone(), *file);
        }
    }
}
