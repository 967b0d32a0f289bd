//! Mapped files and power loss: what is stored in a mapping may reach the disk at
//! any time, sector by sector, long before anybody asks for it.

mod common;

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use common::small;
use log_core::Region;
use log_wal::storage::sim::{Chance, SimStorage};
use log_wal::storage::{Blocks, FoundFile, LockError, SegmentFile, Storage};
use log_wal::{Lsn, Wal};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

const SECTOR_BYTES: usize = 512;

/// A simulated disk whose files are appended to through memory. Before each
/// call, and when the power goes, what was stored in the memory is handed to the
/// disk as writes that nobody has synced: any of their sectors may survive.
#[derive(Clone, Debug)]
struct MappedSim {
    disk: SimStorage,
    mappings: Arc<Mutex<Vec<Mapping>>>,
}

#[derive(Debug)]
struct Mapping {
    file: Arc<dyn SegmentFile>,
    memory: Arc<Memory>,
    /// What the disk knows of.
    known: Vec<u8>,
}

/// Bytes at an address that stays.
#[derive(Debug)]
struct Memory {
    words: NonNull<u64>,
    len_bytes: usize,
}

// SAFETY: whole words that any thread may free.
unsafe impl Send for Memory {}
// SAFETY: these tests have one thread.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(bytes: &[u8]) -> Self {
        let words = Box::leak(vec![0_u64; bytes.len().div_ceil(8)].into_boxed_slice());
        let memory = Self {
            words: NonNull::from(words).cast(),
            len_bytes: bytes.len(),
        };
        memory.put(0, bytes);
        memory
    }

    fn bytes(&self) -> *mut u8 {
        self.words.as_ptr().cast()
    }

    fn copy(&self) -> Vec<u8> {
        let mut copy = vec![0; self.len_bytes];
        // SAFETY: inside both, and one thread only.
        unsafe { (self.bytes()).copy_to_nonoverlapping(copy.as_mut_ptr(), self.len_bytes) };
        copy
    }

    fn put(&self, position: usize, bytes: &[u8]) {
        let Some(room) = self.len_bytes.checked_sub(position) else {
            return;
        };
        // SAFETY: inside, by the line above.
        let to = unsafe { self.bytes().add(position) };
        // SAFETY: inside both, and one thread only.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(room)) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let words = NonNull::slice_from_raw_parts(self.words, self.len_bytes.div_ceil(8));
        // SAFETY: leaked by `new` with this length, and given back once.
        drop(unsafe { Box::from_raw(words.as_ptr()) });
    }
}

impl MappedSim {
    fn over(disk: SimStorage) -> Self {
        Self {
            disk,
            mappings: Arc::default(),
        }
    }

    /// Hands over what was stored; nothing any more when the power is off.
    fn spill(&self) {
        for mapping in self.mappings.lock().unwrap().iter_mut() {
            let now = mapping.memory.copy();
            let sectors = now
                .chunks(SECTOR_BYTES)
                .zip(mapping.known.chunks(SECTOR_BYTES));
            for (index, (sector, known)) in sectors.enumerate() {
                if sector != known {
                    let position = (index * SECTOR_BYTES) as u64;
                    let _off = mapping.file.write_at(position, sector);
                }
            }
            mapping.known = now;
        }
    }

    fn file(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(MappedFile {
            storage: self.clone(),
            file: file.into(),
        })
    }
}

impl Storage for MappedSim {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        self.disk.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.disk.is_locked()
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        self.disk.list()
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        self.spill();
        Ok(self.file(self.disk.create(name, len_bytes, blocks)?))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        self.spill();
        Ok(self.file(self.disk.open(name, writable)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.spill();
        self.disk.rename(from, to)
    }

    fn rename_unheld(&self, _from: &str, _to: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.spill();
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.spill();
        self.disk.sync_directory()
    }

    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn is_mapped(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct MappedFile {
    storage: MappedSim,
    file: Arc<dyn SegmentFile>,
}

impl SegmentFile for MappedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.storage.spill();
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.storage.spill();
        self.file.write_at(position, bytes)?;
        for mapping in self.storage.mappings.lock().unwrap().iter_mut() {
            if Arc::ptr_eq(&mapping.file, &self.file) {
                mapping.memory.put(position as usize, bytes);
                mapping.known = mapping.memory.copy();
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.spill();
        self.file.sync()
    }

    fn shrink(&self, _len_bytes: u64) -> io::Result<()> {
        panic!("mapped memory is never cut")
    }

    fn region(&self, len_bytes: usize) -> io::Result<Region> {
        let mut bytes = vec![0; len_bytes];
        assert_eq!(self.file.read_at(0, &mut bytes)?, len_bytes);
        let memory = Arc::new(Memory::new(&bytes));
        let start = NonNull::new(memory.bytes()).unwrap();
        // SAFETY: valid for as long as `memory`, aligned, initialised, and used
        // by one thread.
        let region = unsafe { Region::from_raw_parts(start, len_bytes, Box::new(memory.clone())) };
        self.storage.mappings.lock().unwrap().push(Mapping {
            file: Arc::clone(&self.file),
            memory,
            known: bytes,
        });
        Ok(region.unwrap())
    }
}

/// A log, what was appended to it, and what was promised.
struct History {
    random: Xoshiro256PlusPlus,
    disk: SimStorage,
    /// Every record that the log should have, if nothing gets lost.
    model: Vec<Vec<u8>>,
    /// Where batches end.
    ends: BTreeSet<usize>,
    durable_end: usize,
    losses: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let disk = SimStorage::new(seed);
        disk.allow_garbage(seed.is_multiple_of(3));
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            disk,
            model: Vec::new(),
            ends: BTreeSet::from([0]),
            durable_end: 0,
            losses: 0,
        }
    }

    /// The log is opened and works until the power goes, or the process dies.
    fn live(&mut self, life: u64) {
        let storage = MappedSim::over(self.disk.clone());
        let until = self.disk.steps() + self.random.random_range(20..600);
        self.disk.power_off_at(until);
        if let Ok(wal) = Wal::with_storage(Arc::new(storage.clone()), small()) {
            self.check(&wal);
            while self.random.random_range(0..40) > 0 && self.work(&wal, life) {}
            // Whatever is stored now may be on the disk, or not.
            storage.spill();
            self.end(wal);
        } else {
            let chance = self.random.random();
            self.disk = self.disk.power_loss(&mut Chance::seeded(chance));
        }
    }

    fn end(&mut self, wal: Wal) {
        let dies_alone = !self.disk.is_off() && self.random.random_bool(0.3);
        let chance = self.random.random();
        let found = match dies_alone {
            true => self.disk.process_death(),
            false => self.disk.power_loss(&mut Chance::seeded(chance)),
        };
        if dies_alone {
            // INV-F1: what is published is written.
            let written = wal.watermarks().written_end.0 as usize;
            assert_eq!(written, self.model.len());
            self.durable_end = self.durable_end.max(written);
        } else {
            self.losses += 1;
        }
        self.disk.power_off_at(0);
        drop(wal);
        self.disk = found;
    }

    fn check(&mut self, wal: &Wal) {
        let found: Vec<_> = wal.iter().map(|record| record.unwrap()).collect();
        assert!(found.len() >= self.durable_end, "INV-W1");
        assert!(found.len() <= self.model.len(), "INV-W3: nothing invented");
        for (found, appended) in found.iter().zip(&self.model) {
            assert_eq!(found.payload(), appended, "INV-W3");
        }
        assert!(self.ends.contains(&found.len()), "INV-W3: batches whole");
        self.model.truncate(found.len());
        self.ends.retain(|end| *end <= found.len());
    }

    /// One call. Whether it worked.
    fn work(&mut self, wal: &Wal, life: u64) -> bool {
        match self.random.random_range(0..12) {
            0..3 => match wal.sync() {
                Ok(end) => {
                    self.durable_end = self.durable_end.max(end.0 as usize);
                    true
                }
                Err(_) => false,
            },
            3 => wal.rotate().is_ok(),
            _ => {
                let count = self.random.random_range(1..8);
                let from = self.model.len();
                let payloads: Vec<_> = (from..from + count)
                    .map(|lsn| {
                        let length = self.random.random_range(0..400);
                        let mut payload = format!("{life}/{lsn} ").into_bytes();
                        payload.resize(payload.len() + length, life as u8);
                        payload
                    })
                    .collect();
                let pieces: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
                match wal.append_batch(&pieces) {
                    Ok(lsns) => {
                        assert_eq!(lsns.start, Lsn(from as u64), "INV-C1");
                        self.model.extend(payloads);
                        self.ends.insert(self.model.len());
                        true
                    }
                    Err(_) => false,
                }
            }
        }
    }
}

#[test]
fn whatever_of_a_mapping_a_power_loss_leaves_what_was_acknowledged_is_there() {
    let (mut losses, mut durable) = (0, 0);
    for seed in 0..150 {
        let mut history = History::new(seed);
        for life in 0..5 {
            history.live(life);
        }
        losses += history.losses;
        durable += history.durable_end;
    }
    assert!(losses > 300, "{losses} power losses");
    assert!(durable > 5_000, "{durable} acknowledged");
}
