//! What survives when the power goes: a row of choices, made by chance or one
//! after the other.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// What is not yet sure to be on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Changes of names in the directory.
    Names,
    /// Changes of a file's length.
    Length,
    /// The sector of a file with this number.
    Sector(u64),
}

/// Something that was changed since it was last synced.
#[derive(Clone, Copy, Debug)]
pub struct Unsynced<'a> {
    /// The file's name as it will be found; empty for the directory.
    pub file: &'a str,
    /// What of it.
    pub what: What,
    /// How many steps ago each change was made, oldest first; at least one.
    pub ages: &'a [u64],
    /// Whether the medium may be left with neither the old nor the new.
    pub may_be_garbage: bool,
}

impl Unsynced<'_> {
    /// How many outcomes there are, see [`Survival::choose`].
    #[must_use]
    pub fn outcomes(&self) -> usize {
        1 + usize::from(self.may_be_garbage) + self.ages.len()
    }

    pub(super) fn choose(&self, survival: &mut dyn Survival) -> usize {
        survival.choose(self).min(self.outcomes() - 1)
    }
}

/// Decides what a power loss leaves. Closures will do:
///
/// ```
/// use log_wal::storage::sim::{SimStorage, Unsynced};
///
/// let disk = SimStorage::new(7);
/// let all_lost = disk.power_loss(&mut |_: &Unsynced<'_>| 0);
/// let all_kept = disk.power_loss(&mut |unsynced: &Unsynced<'_>| unsynced.outcomes() - 1);
/// assert!(all_lost.files().is_empty() && all_kept.files().is_empty());
/// ```
pub trait Survival {
    /// Picks one of the [`outcomes`](Unsynced::outcomes): 0 is the state of the
    /// last sync, the last one is the newest, and those in between are the
    /// states that were written in between, oldest first. If garbage is
    /// allowed it is outcome 1. Larger numbers count as the last.
    fn choose(&mut self, unsynced: &Unsynced<'_>) -> usize;
}

impl<F: FnMut(&Unsynced<'_>) -> usize> Survival for F {
    fn choose(&mut self, unsynced: &Unsynced<'_>) -> usize {
        self(unsynced)
    }
}

/// Survival by chance. Some losses are even, some lose or keep almost
/// everything, and some keep what was done up to a moment, with the last write
/// torn: what is likely on real disks, and what is not.
#[derive(Debug)]
pub struct Chance {
    random: Xoshiro256PlusPlus,
    style: Style,
}

#[derive(Clone, Copy, Debug)]
enum Style {
    /// Each thing for itself has reached its newest state with this chance.
    Newest(f64),
    /// Each thing for itself is in any of its states.
    Even,
    /// Everything older than `age` has reached the medium, nothing younger
    /// has, and of the step in between a first part.
    Until { age: u64, torn: bool },
}

impl Chance {
    /// Everything follows from the seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let style = match random.random_range(0..8) {
            0 => Style::Newest(0.0),
            1 => Style::Newest(1.0),
            2 => Style::Newest(0.1),
            3 => Style::Newest(0.9),
            4 => Style::Newest(0.5),
            5 => Style::Even,
            _ => Style::Until {
                age: random.random_range(1..12),
                torn: false,
            },
        };
        Self { random, style }
    }
}

impl Survival for Chance {
    fn choose(&mut self, unsynced: &Unsynced<'_>) -> usize {
        let newest = unsynced.outcomes() - 1;
        match &mut self.style {
            Style::Even => self.random.random_range(0..=newest),
            Style::Newest(chance) => {
                if self.random.random_bool(*chance) {
                    newest
                } else {
                    0
                }
            }
            Style::Until { age, torn } => {
                let survived = |change: &&u64| **change >= *age;
                let mut count = unsynced.ages.iter().filter(survived).count();
                if count > 0 && unsynced.ages[count - 1] == *age {
                    *torn |= self.random.random_bool(0.2);
                    count -= usize::from(*torn);
                }
                if count == 0 {
                    0
                } else {
                    count + usize::from(unsynced.may_be_garbage)
                }
            }
        }
    }
}

/// Every outcome of a power loss, one after the other.
///
/// ```
/// use log_wal::Storage;
/// use log_wal::storage::Blocks;
/// use log_wal::storage::sim::{EveryOutcome, SimStorage};
///
/// let disk = SimStorage::new(7);
/// let file = disk.create("a", 1024, Blocks::Written)?;
/// file.sync()?;
/// disk.sync_directory()?;
/// file.write_at(0, &[1; 1024])?;
///
/// let mut outcomes = EveryOutcome::default();
/// let mut seen = Vec::new();
/// while outcomes.advance() {
///     let found = disk.power_loss(&mut outcomes);
///     let file = &found.files()["a"];
///     seen.push((file[0], file[512]));
/// }
/// assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1)], "each sector for itself");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct EveryOutcome {
    /// What was chosen this time, and of how many.
    choices: Vec<(usize, usize)>,
    /// How many choices were asked for this time.
    asked: usize,
    is_begun: bool,
}

impl EveryOutcome {
    /// Goes to the next outcome. False if there is none; then it begins again.
    pub fn advance(&mut self) -> bool {
        self.asked = 0;
        if !self.is_begun {
            self.is_begun = true;
            return true;
        }
        while let Some((chosen, outcomes)) = self.choices.pop() {
            if chosen + 1 < outcomes {
                self.choices.push((chosen + 1, outcomes));
                return true;
            }
        }
        self.is_begun = false;
        false
    }
}

impl Survival for EveryOutcome {
    fn choose(&mut self, unsynced: &Unsynced<'_>) -> usize {
        if self.asked == self.choices.len() {
            self.choices.push((0, unsynced.outcomes()));
        }
        let (chosen, _) = self.choices[self.asked];
        self.asked += 1;
        chosen
    }
}
