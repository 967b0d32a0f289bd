//! What a block device was asked to do, as the kernel counts it.
//!
//! The device is everybody's: the counts include what others write meanwhile.

use std::fs;
use std::ops::Sub;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Requests completed, of a device or within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Writes.
    pub writes: u64,
    /// Flushes of its cache.
    pub flushes: u64,
}

impl Sub for Requests {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            flushes: self.flushes - before.flushes,
        }
    }
}

/// A block device that counts.
#[derive(Clone, Debug)]
pub struct Device {
    major_minor: [String; 2],
}

impl Device {
    /// The device of the file system that `path` lies in, if it counts.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let number = fs::metadata(path).ok()?.dev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        let device = Self {
            major_minor: [major.to_string(), minor.to_string()],
        };
        device.requests().is_some().then_some(device)
    }

    /// What it has done so far.
    #[must_use]
    pub fn requests(&self) -> Option<Requests> {
        parse(
            &fs::read_to_string("/proc/diskstats").ok()?,
            &self.major_minor,
        )
    }
}

/// Columns as in the kernel's `Documentation/admin-guide/iostats.rst`.
fn parse(diskstats: &str, major_minor: &[String; 2]) -> Option<Requests> {
    let mut lines = diskstats
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line.get(..2).is_some_and(|found| found == major_minor))?;
    let column = |index: usize| line.get(index)?.parse().ok();
    Some(Requests {
        writes: column(7)?,
        flushes: column(18)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_flushes_are_read_from_the_line_of_the_device() {
        let diskstats = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
            254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n";
        let requests = parse(diskstats, &["254".into(), "0".into()]);
        let expected = Requests {
            writes: 5,
            flushes: 16,
        };
        assert_eq!(requests, Some(expected));
        assert_eq!(parse(diskstats, &["8".into(), "0".into()]), None);
    }
}
