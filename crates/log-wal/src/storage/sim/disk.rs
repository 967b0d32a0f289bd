//! The disk itself, under its lock.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::contents::Contents;
use super::directory::{Directory, DirectoryOrder, FileId};
use super::fault::{Call, Failure, Fault, SimError};
use super::power_loss::Survival;

/// The unit in which room is given out.
const BLOCK_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct Disk {
    directory: Directory,
    files: BTreeMap<FileId, Inode>,
    next_file: FileId,
    random: Xoshiro256PlusPlus,
    pub steps: u64,
    pub power_off_at: Option<u64>,
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
            steps: 0,
            power_off_at: None,
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
            steps: self.steps,
            power_off_at: None,
            faults: Vec::new(),
            capacity_bytes: self.capacity_bytes,
            directory_order: self.directory_order,
            allow_garbage: self.allow_garbage,
            is_locked: false,
        }
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
        if self.power_off_at.is_some_and(|at| self.steps >= at) {
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
        let inode = &self.files[&file];
        let handle = Handle {
            _open: Arc::clone(&inode.open),
            _hold: (!writable).then(|| Arc::clone(&inode.holders)),
        };
        Ok((file, handle))
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
                self.contents_mut(file).damage(damage);
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
