//! What a log still has when its files were damaged, and whether it says so.
//!
//! Records say which they are, so that a reader needs nothing but what a log
//! gives back to judge it ([`Verdict`]). A fault ([`Fault`]) is done to the
//! bytes that a log has written, wherever they lie; what it only allocated is
//! left alone.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// Length of every record.
pub const RECORD_BYTES: usize = 256;
/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// What a log gave back.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The records, in its order.
    pub records: Vec<Vec<u8>>,
    /// Whether it said that something was cut off.
    pub says_cut: bool,
}

/// How a log came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every acknowledged record is there.
    Whole,
    /// An error, on opening or on reading.
    Refused,
    /// Acknowledged records are gone, and it says that it cut something.
    Cut,
    /// Acknowledged records are gone without a word.
    Silent,
    /// It gives back what was never appended, or not in order.
    Wrong,
    /// It panicked, was killed by a signal, or did not come to an end.
    Crashed,
}

impl Verdict {
    /// All of them, best first.
    pub const ALL: [Self; 6] = [
        Self::Whole,
        Self::Refused,
        Self::Cut,
        Self::Silent,
        Self::Wrong,
        Self::Crashed,
    ];

    /// Judges what a log gave back, of which `acknowledged` records must be
    /// there.
    #[must_use]
    pub fn of(contents: &Result<Contents, String>, acknowledged: u64) -> Self {
        let Ok(contents) = contents else {
            return Self::Refused;
        };
        let mut next = 0;
        let mut kept = 0;
        for found in &contents.records {
            let Some(number) = number_of(found).filter(|number| *number >= next) else {
                return Self::Wrong;
            };
            if found[..] != record(number)[..] {
                return Self::Wrong;
            }
            next = number + 1;
            kept += u64::from(number < acknowledged);
        }
        match (kept == acknowledged, contents.says_cut) {
            (true, _) => Self::Whole,
            (false, true) => Self::Cut,
            (false, false) => Self::Silent,
        }
    }
}

/// Record number `number`. It begins with one more than that, which is what
/// raft-engine calls it.
#[must_use]
pub fn record(number: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let (name, rest) = record.split_at_mut(8);
    name.copy_from_slice(&(number + 1).to_le_bytes());
    Rng::with_seed(number).fill(rest);
    record
}

fn number_of(record: &[u8]) -> Option<u64> {
    let name = record.first_chunk().copied().map(u64::from_le_bytes);
    name?.checked_sub(1)
}

/// What happens to the files of a log that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One bit is another.
    Bit,
    /// A sector is zeros.
    Sector,
    /// The last bytes of a file are gone.
    End,
}

impl Fault {
    /// Does it somewhere in `directory`.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn strike(self, directory: &Path, random: &mut Rng) -> io::Result<()> {
        let files = written_files(directory)?;
        let written_bytes = files.iter().map(|(_, used)| used.len()).sum::<usize>();
        let mut place = random.usize(0..written_bytes);
        for (path, used) in files {
            if place < used.len() {
                return self.strike_file(&path, place, used.len(), random);
            }
            place -= used.len();
        }
        Ok(())
    }

    fn strike_file(
        self,
        path: &Path,
        place: usize,
        used_bytes: usize,
        random: &mut Rng,
    ) -> io::Result<()> {
        let mut bytes = fs::read(path)?;
        match self {
            Self::Bit => bytes[place] ^= 1 << random.u32(0..8),
            Self::Sector => {
                let start = place - place % SECTOR_BYTES;
                let end = bytes.len().min(start + SECTOR_BYTES);
                bytes[start..end].fill(0);
            }
            Self::End => {
                let lost_bytes = random.usize(1..=used_bytes.min(16 * RECORD_BYTES));
                bytes.truncate(used_bytes - lost_bytes);
            }
        }
        fs::write(path, bytes)
    }
}

/// The files in a directory that have anything but zeros, and where.
fn written_files(directory: &Path) -> io::Result<Vec<(PathBuf, Range<usize>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(written_files(&path)?);
            continue;
        }
        let bytes = fs::read(&path)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            files.push((path, 0..last + 1));
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(files)
}

/// Copies a directory.
///
/// # Errors
///
/// What the operating system says.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to)?,
            false => fs::copy(from, to).map(drop)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(numbers: &[u64], says_cut: bool) -> Verdict {
        let records = numbers.iter().map(|number| record(*number).to_vec());
        let contents = Contents {
            records: records.collect(),
            says_cut,
        };
        Verdict::of(&Ok(contents), 3)
    }

    #[test]
    fn a_verdict_goes_by_what_was_acknowledged() {
        assert_eq!(judged(&[0, 1, 2], false), Verdict::Whole);
        assert_eq!(judged(&[0, 1, 2, 3], false), Verdict::Whole);
        assert_eq!(judged(&[0, 2], false), Verdict::Silent);
        assert_eq!(judged(&[0, 1], true), Verdict::Cut);
        assert_eq!(judged(&[0, 2, 1], false), Verdict::Wrong);
        let refused = Verdict::of(&Err(String::new()), 3);
        assert_eq!(refused, Verdict::Refused);
        let mut contents = Contents::default();
        contents.records.push([1; RECORD_BYTES].to_vec());
        assert_eq!(Verdict::of(&Ok(contents), 0), Verdict::Wrong);
    }

    #[test]
    fn a_fault_strikes_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut whole = vec![7; 9000];
        whole.resize(20_000, 0);
        for (seed, fault) in [Fault::Bit, Fault::Sector, Fault::End]
            .into_iter()
            .enumerate()
        {
            fs::write(&path, &whole).unwrap();
            let mut random = Rng::with_seed(seed as u64);
            fault.strike(directory.path(), &mut random).unwrap();
            let struck = fs::read(&path).unwrap();
            let shared = struck.len().min(9000);
            let changed = (0..shared).filter(|at| struck[*at] != 7).count();
            match fault {
                Fault::Bit => assert_eq!((changed, struck.len()), (1, 20_000)),
                Fault::Sector => assert!(changed > 0 && changed <= SECTOR_BYTES),
                Fault::End => assert!(changed == 0 && struck.len() < 9000),
            }
        }
    }
}
