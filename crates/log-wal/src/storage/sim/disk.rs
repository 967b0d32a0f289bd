//! The disk itself, under its lock.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use log_core::Region;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::contents::Contents;
use super::directory::{Directory, DirectoryOrder, FileId};
use super::fault::{Call, Failure, Fault, SimError};
use super::mapping::{MakeMemory, Mapping};
use super::power_loss::Survival;

/// The unit in which room is given out.
const BLOCK_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct Disk {
    directory: Directory,
    files: BTreeMap<FileId, Inode>,
    next_file: FileId,
    random: Xoshiro256PlusPlus,
    /// Fronts of files that are appended to through memory.
    mappings: Vec<Mapping>,
    pub make_memory: Option<MakeMemory>,
    pub steps: u64,
    power_off_at: Option<u64>,
    /// Whether the power is off and the memory gone with it.
    is_dark: bool,
    pub faults: Vec<Fault>,
    pub capacity_bytes: Option<u64>,
    pub directory_order: DirectoryOrder,
    pub allow_garbage: bool,
    pub is_locked: bool,
}

#[derive(Debug)]
struct Inode {
    contents: Contents,
    /// Shared with every handle.
    open: Arc<()>,
    /// Shared with every handle that is for reading alone.
    holders: Arc<()>,
}

impl Inode {
    fn new(contents: Contents) -> Self {
        Self {
            contents,
            open: Arc::default(),
            holders: Arc::default(),
        }
    }

    fn handle(&self, writable: bool) -> Handle {
        Handle {
            _open: Arc::clone(&self.open),
            _hold: (!writable).then(|| Arc::clone(&self.holders)),
        }
    }
}

/// What an open file tells the disk by being there.
#[derive(Debug)]
pub(super) struct Handle {
    _open: Arc<()>,
    _hold: Option<Arc<()>>,
}

/// What a call that may be made does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// What it should.
    Whole,
    /// That, and it says that it failed.
    WholeButFailed(SimError),
    /// Half of it, and it fails.
    Half(SimError),
    /// A sync that loses what it should have written.
    LosesPages,
    /// Nothing.
    Nothing,
}

impl Effect {
    pub(super) fn is_ignored(self) -> bool {
        self == Self::Nothing
    }

    /// What the call returns, having had its effect.
    pub(super) fn after<T>(self, result: T) -> io::Result<T> {
        match self {
            Self::Whole | Self::Nothing => Ok(result),
            Self::WholeButFailed(error) | Self::Half(error) => Err(error.to_io()),
            Self::LosesPages => Err(SimError::Io.to_io()),
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            directory: Directory::default(),
            files: BTreeMap::new(),
            next_file: 0,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            mappings: Vec::new(),
            make_memory: None,
            steps: 0,
            power_off_at: None,
            is_dark: false,
            faults: Vec::new(),
            capacity_bytes: None,
            directory_order: DirectoryOrder::default(),
            allow_garbage: false,
            is_locked: false,
        }
    }

    pub(super) fn with_files(seed: u64, files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut disk = Self::new(seed);
        let mut entries = BTreeMap::new();
        for (name, bytes) in files {
            entries.insert(name, disk.add(Contents::synced(bytes)));
        }
        disk.directory = Directory::synced(entries);
        disk
    }

    fn add(&mut self, contents: Contents) -> FileId {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Inode::new(contents));
        file
    }

    /// A disk with other contents and the same character.
    fn successor(&self, directory: Directory, files: BTreeMap<FileId, Inode>) -> Self {
        Self {
            directory,
            files,
            next_file: self.next_file,
            random: self.random.clone(),
            mappings: Vec::new(),
            make_memory: self.make_memory,
            steps: self.steps,
            power_off_at: None,
            is_dark: false,
            faults: Vec::new(),
            capacity_bytes: self.capacity_bytes,
            directory_order: self.directory_order,
            allow_garbage: self.allow_garbage,
            is_locked: false,
        }
    }

    pub(super) fn power_off_at(&mut self, steps: u64) {
        self.spill();
        self.power_off_at = Some(steps);
        self.is_dark = false;
    }

    pub(super) fn is_off(&self) -> bool {
        self.power_off_at.is_some_and(|at| self.steps >= at)
    }

    /// Takes what was stored to memory into the files, as writes that nobody
    /// has synced.
    pub(super) fn spill(&mut self) {
        if self.is_dark {
            return;
        }
        let (files, step) = (&mut self.files, self.steps);
        self.mappings.retain_mut(|mapping| {
            // Before it is looked at: afterwards something may be missing.
            let is_live = mapping.is_live();
            let Some(inode) = files.get_mut(&mapping.file) else {
                return false;
            };
            let (memory, changed) = mapping.look();
            for at in changed {
                inode.contents.write(at.start, &memory[at], step);
            }
            is_live
        });
    }

    pub(super) fn map(&mut self, file: FileId, len_bytes: usize) -> io::Result<Region> {
        let make = self.make_memory.ok_or(io::ErrorKind::Unsupported)?;
        let inode = &self.files[&file];
        let front = inode.contents.shown().get(..len_bytes);
        let front = front.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
        let mapped = Mapping::new(file, front, make, inode.handle(false));
        let (mapping, region) = mapped.ok_or(io::ErrorKind::InvalidInput)?;
        self.mappings.push(mapping);
        Ok(region)
    }

    pub(super) fn is_mapped(&self, file: FileId) -> bool {
        let mut mappings = self.mappings.iter();
        mappings.any(|mapping| mapping.file == file && mapping.is_live())
    }

    fn mappings_of(&mut self, file: FileId) -> impl Iterator<Item = &mut Mapping> {
        let mappings = self.mappings.iter_mut();
        mappings.filter(move |mapping| mapping.file == file)
    }

    pub(super) fn after_power_loss(&self, survival: &mut dyn Survival) -> Self {
        let (now, order) = (self.steps, self.directory_order);
        let entries = self.directory.after_power_loss(now, order, survival);
        let mut files = BTreeMap::new();
        for (name, file) in &entries {
            let contents = self.contents(*file);
            let found = contents.after_power_loss(name, now, self.allow_garbage, survival);
            files.insert(*file, Inode::new(found));
        }
        self.successor(Directory::synced(entries), files)
    }

    pub(super) fn after_process_death(&self) -> Self {
        let copy = |(file, inode): (&FileId, &Inode)| (*file, Inode::new(inode.contents.clone()));
        let files = self.files.iter().map(copy).collect();
        self.successor(self.directory.clone(), files)
    }

    /// Whether a call may be made, and to which effect.
    pub(super) fn begin(&mut self, call: &Call<'_>) -> io::Result<Effect> {
        self.spill();
        if self.is_off() {
            self.is_dark = true;
            return Err(SimError::PowerOff.to_io());
        }
        self.steps += u64::from(call.operation.is_step());
        let mut faults = self.faults.iter_mut();
        let failure = faults.find_map(|fault| fault.strikes(call));
        let is = |operation| call.operation == operation;
        match failure {
            None => Ok(Effect::Whole),
            Some(Failure::Refused(error)) => Err(error.to_io()),
            Some(Failure::Torn(error)) if is(super::Operation::Write) => Ok(Effect::Half(error)),
            Some(Failure::Torn(error)) => Err(error.to_io()),
            Some(Failure::DoneAll(error)) => Ok(Effect::WholeButFailed(error)),
            Some(Failure::PagesLost) if is(super::Operation::Sync) => Ok(Effect::LosesPages),
            Some(Failure::PagesLost) => Err(SimError::Io.to_io()),
            Some(Failure::Ignored) => Ok(Effect::Nothing),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.directory.shown().keys().cloned().collect()
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = self.directory.shown().iter();
        let copy = |(name, file): (&String, &FileId)| {
            (name.clone(), self.contents(*file).shown().to_vec())
        };
        entries.map(copy).collect()
    }

    pub(super) fn name_of(&self, file: FileId) -> &str {
        self.directory.name_of(file)
    }

    fn find(&self, name: &str) -> io::Result<FileId> {
        let found = self.directory.shown().get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The contents of a file that somebody has a name or a handle for.
    pub(super) fn contents(&self, file: FileId) -> &Contents {
        // `forget` keeps all that are named or open.
        &self.files[&file].contents
    }

    pub(super) fn contents_mut(&mut self, file: FileId) -> &mut Contents {
        let inode = self.files.get_mut(&file);
        &mut inode.expect("kept while it is named or open").contents
    }

    pub(super) fn create(&mut self, name: &str, len_bytes: u64) -> io::Result<(FileId, Handle)> {
        if self.directory.shown().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.want_room(len_bytes)?;
        let file = self.add(Contents::zeros(len_bytes as usize, self.steps));
        self.directory.link(name, file, self.steps);
        self.open(name, true)
    }

    /// The file, and what says that it is in use; and held, unless it is
    /// opened for writing.
    pub(super) fn open(&self, name: &str, writable: bool) -> io::Result<(FileId, Handle)> {
        let file = self.find(name)?;
        Ok((file, self.files[&file].handle(writable)))
    }

    /// Whether somebody has it open for reading alone.
    pub(super) fn is_held(&self, name: &str) -> io::Result<bool> {
        let file = self.find(name)?;
        Ok(Arc::strong_count(&self.files[&file].holders) > 1)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.find(from)?;
        self.directory.rename(from, to, file, self.steps);
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let file = self.find(name)?;
        self.directory.unlink(name, file, self.steps);
        Ok(())
    }

    pub(super) fn sync_directory(&mut self) {
        self.directory.sync();
        self.forget();
    }

    /// Forgets files that nobody can reach any more.
    fn forget(&mut self) {
        let directory = &self.directory;
        self.files
            .retain(|file, inode| directory.may_show(*file) || Arc::strong_count(&inode.open) > 1);
    }

    pub(super) fn write(&mut self, file: FileId, position: u64, bytes: &[u8]) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        let old = self.contents(file).shown().len() as u64;
        let more = blocks(end).saturating_sub(blocks(old)) * BLOCK_BYTES;
        self.want_room(more)?;
        let step = self.steps;
        self.contents_mut(file)
            .write(position as usize, bytes, step);
        self.mappings_of(file)
            .for_each(|mapping| mapping.written(position as usize, bytes));
        Ok(())
    }

    pub(super) fn shrink(&mut self, file: FileId, len_bytes: u64) {
        let step = self.steps;
        let contents = self.contents_mut(file);
        if len_bytes < contents.shown().len() as u64 {
            contents.set_len(len_bytes as usize, step);
        }
    }

    fn want_room(&self, more_bytes: u64) -> io::Result<()> {
        let Some(capacity_bytes) = self.capacity_bytes else {
            return Ok(());
        };
        let named = self.directory.shown().values();
        let blocks_used: u64 = named
            .map(|file| blocks(self.contents(*file).shown().len() as u64))
            .sum();
        let wanted = (blocks_used + blocks(more_bytes)) * BLOCK_BYTES;
        if more_bytes > 0 && wanted > capacity_bytes {
            return Err(SimError::Full.to_io());
        }
        Ok(())
    }

    pub(super) fn damage(&mut self, name: &str, damage: impl Fn(&mut [u8])) -> bool {
        match self.find(name) {
            Ok(file) => {
                self.spill();
                self.contents_mut(file).damage(damage);
                let shown = self.contents(file).shown().to_vec();
                self.mappings_of(file)
                    .for_each(|mapping| mapping.written(0, &shown));
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.random.next_u64()
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES)
}
