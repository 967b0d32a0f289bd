//! The crash lab: histories of a log on a simulated disk, each made by one
//! seed.
//!
//! A history is a row of lives. In each life the log is opened, works, and
//! ends: the power goes in the middle of a call, the process dies, or it is
//! closed. Then what is found is held against a vector of what was appended
//! and what was promised. The next life goes on from there, so that what one
//! crash left behind meets the next.
//!
//! The same histories are played with records that are written by calls, and
//! with such that are stored to the memory of their file.
#![allow(dead_code, reason = "each user of the lab looks at some of it")]

mod life;
#[path = "../common/memory.rs"]
mod memory;
mod model;
mod recovery;
mod rot;

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log_wal::storage::sim::{Chance, DirectoryOrder, SimStorage};
use log_wal::{RecoveryPolicy, Verify, WalOptions};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use memory::Memory;
pub(crate) use model::Model;

/// What histories went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Disks that were found after the power went or the process died.
    pub states: u64,
    /// Of those, by power loss.
    pub power_losses: u64,
    /// Crashes while recovering from another.
    pub second_crashes: u64,
    /// Records that had been acknowledged as durable, and were found again.
    pub acknowledged: u64,
    /// Records that had not been, and are gone.
    pub discarded: u64,
    /// Tails that were cut.
    pub torn_tails: u64,
    /// Logs that stopped acknowledging, and why not: faults that struck.
    pub poisoned: u64,
    /// Times that the disk was full.
    pub disk_full: u64,
    /// Segments sealed.
    pub rotations: u64,
    /// Times that records were discarded from the end by request.
    pub truncations: u64,
    /// Segments begun in files that were used before.
    pub recycled: u64,
    /// Of the states, those of logs that were written through a mapping.
    pub mapped: u64,
    /// Logs in which something rotted.
    pub rotten: u64,
    /// Of those, cut in front of the damage; in the others it was torn off, or
    /// nothing depended on it.
    pub cuts: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            (self.states, "crash states"),
            (
                self.power_losses,
                "of them by power loss, the others by process death",
            ),
            (self.second_crashes, "of them while recovering from another"),
            (self.mapped, "of them of a log written through a mapping"),
            (self.acknowledged, "acknowledged records looked for"),
            (
                self.discarded,
                "records discarded that were not acknowledged",
            ),
            (self.torn_tails, "torn tails cut"),
            (self.rotations, "segments sealed"),
            (self.truncations, "truncations by request"),
            (self.recycled, "crash states with a segment in a used file"),
            (self.rotten, "logs in which something rotted"),
            (self.cuts, "of them refused, salvaged and cut"),
            (self.poisoned, "logs poisoned by a fault"),
            (self.disk_full, "calls that found the disk full"),
        ];
        for (count, what) in lines {
            writeln!(f, "{count:>12} {what}")?;
        }
        Ok(())
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.power_losses += other.power_losses;
        self.second_crashes += other.second_crashes;
        self.acknowledged += other.acknowledged;
        self.discarded += other.discarded;
        self.torn_tails += other.torn_tails;
        self.poisoned += other.poisoned;
        self.disk_full += other.disk_full;
        self.rotations += other.rotations;
        self.truncations += other.truncations;
        self.recycled += other.recycled;
        self.mapped += other.mapped;
        self.rotten += other.rotten;
        self.cuts += other.cuts;
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    PowerLoss,
    ProcessDeath,
    Close,
}

/// The lengths of the records of a history.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    /// All the same: a frame of one life lies exactly on one of another.
    Fixed(usize),
    UpTo(usize),
}

/// How records come into the files of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// By calls, which the leader of a group makes.
    Calls,
    /// By storing them: the region is a mapping of the file.
    Mapped,
}

impl Writing {
    pub(crate) const BOTH: [Self; 2] = [Self::Calls, Self::Mapped];

    /// Where both are to be had: every third history through a mapping.
    pub(crate) fn of(seed: u64) -> Self {
        match seed % 3 {
            0 => Self::Mapped,
            _ => Self::Calls,
        }
    }
}

/// Makes each disk of a history lie in some way.
pub(crate) type Saboteur = fn(&SimStorage);

/// One history.
pub(crate) struct History {
    random: Xoshiro256PlusPlus,
    disk: SimStorage,
    model: Arc<Mutex<Model>>,
    options: WalOptions,
    lengths: Lengths,
    /// Whether other threads seem to append while the disk works.
    interleaved: bool,
    others_may_append: Arc<AtomicBool>,
    writing: Writing,
    sabotage: Saboteur,
    tally: Tally,
}

/// Plays the history of a seed. An error says which promise was broken.
pub(crate) fn play(seed: u64, writing: Writing) -> Result<Tally, String> {
    play_sabotaged(seed, writing, |_| {})
}

/// The same on a disk that lies.
pub(crate) fn play_sabotaged(
    seed: u64,
    writing: Writing,
    sabotage: Saboteur,
) -> Result<Tally, String> {
    let mut history = History::new(seed, writing, sabotage);
    let lives = history.random.random_range(1..=6);
    for life in 0..lives {
        history
            .live_once()
            .map_err(|broken| format!("seed {seed} {writing:?}, life {life}: {broken}"))?;
    }
    let mut tally = history.tally;
    if writing == Writing::Mapped {
        tally.mapped = tally.states;
    }
    Ok(tally)
}

impl History {
    fn new(seed: u64, writing: Writing, sabotage: Saboteur) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let interleaved = random.random_bool(0.4);
        let disk = SimStorage::new(random.next_u64());
        if writing == Writing::Mapped {
            disk.map_files(Memory::of_sim);
        }
        disk.allow_garbage(random.random_bool(0.3));
        if random.random_bool(0.3) {
            disk.set_directory_order(DirectoryOrder::Any);
        }
        let lengths = match random.random_range(0..4) {
            0 => Lengths::Fixed(100),
            1 => Lengths::UpTo(40),
            2 => Lengths::UpTo(700),
            _ => Lengths::UpTo(3000),
        };
        // Nobody may wait for the disk in the middle of a call to the disk.
        let backlog_segments_max = if interleaved {
            1000
        } else {
            random.random_range(1..3)
        };
        let options = WalOptions::default()
            .segment_bytes(16 << 10)
            .backlog_segments_max(backlog_segments_max)
            .spare_segments_max(random.random_range(0..4));
        Self {
            random,
            disk,
            model: Arc::default(),
            options,
            lengths,
            interleaved,
            others_may_append: Arc::new(AtomicBool::new(writing == Writing::Calls)),
            writing,
            sabotage,
            tally: Tally::default(),
        }
    }

    fn live_once(&mut self) -> Result<(), String> {
        (self.sabotage)(&self.disk);
        let end = self.live()?;
        let disk = match end {
            End::PowerLoss => {
                let mut chance = Chance::seeded(self.random.next_u64());
                self.tally.power_losses += 1;
                self.disk.power_loss(&mut chance)
            }
            End::ProcessDeath | End::Close => self.disk.process_death(),
        };
        self.tally.states += u64::from(end != End::Close);
        self.disk = disk;
        self.recover(end)?;
        if self.random.random_bool(0.05) {
            self.rot()?;
        }
        Ok(())
    }

    fn options(&mut self) -> WalOptions {
        let verify = if self.random.random_bool(0.1) {
            Verify::All
        } else {
            Verify::Tail
        };
        // Where nothing is damaged they are all the same.
        let recovery = if self.random.random_bool(0.3) {
            RecoveryPolicy::CutToLastGood
        } else {
            RecoveryPolicy::Refuse
        };
        self.options.clone().verify(verify).recovery(recovery)
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        locked(&self.model)
    }

    fn length(&mut self) -> usize {
        match self.lengths {
            Lengths::Fixed(len_bytes) => len_bytes,
            // Longer than a segment, once in a while.
            Lengths::UpTo(_) if self.random.random_bool(0.003) => 20_000,
            Lengths::UpTo(max) => self.random.random_range(0..max),
        }
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
