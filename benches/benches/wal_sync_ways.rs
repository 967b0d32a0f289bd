//! By which way do bytes come to stable storage fastest?
//!
//! One thread writes a group of frames of 256 B records, waits until it is
//! durable, and again. All ways but the last two write over what was written
//! before. The device's counts include what everybody else on the machine
//! writes. The log uses the first way, and makes its files so that it is. With
//! the feature `io-uring` there is one more.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("these ways are those of Linux");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{File, OpenOptions};
    use std::io::{self, IoSlice};
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::path::Path;
    use std::time::Duration;

    use log_benches::contest::{Better, Contest};
    use log_benches::effort::Effort;
    use log_benches::floor::HEADER_BYTES;
    #[cfg(feature = "io-uring")]
    use log_benches::ring::Ring;
    use log_benches::{commits, scratch, writers};
    use rustix::fs::{FallocateFlags, OFlags, fallocate};
    use rustix::io::{ReadWriteFlags, pwritev2};

    const PAYLOAD_BYTES: usize = 256;
    /// How many records are made durable at once.
    const GROUPS: [usize; 3] = [1, 8, 64];
    const TURN_MS: u64 = 500;
    const FILE_BYTES: u64 = 16 << 20;
    /// What `O_DIRECT` writes, and from what addresses.
    const BLOCK_BYTES: usize = 4096;

    #[derive(Clone, Copy)]
    enum Way {
        WriteThenSync,
        WriteWithFlag,
        FileWithFlag,
        Direct,
        #[cfg(feature = "io-uring")]
        Ring,
        Reserved,
        Growing,
    }

    impl Way {
        /// Before it begins at the front again. The last two never get there:
        /// it would be over with what they show.
        fn file_bytes(self) -> u64 {
            match self {
                Way::Reserved | Way::Growing => 64 * FILE_BYTES,
                _ => FILE_BYTES,
            }
        }
    }

    const WAYS: &[(&str, Way)] = &[
        ("pwrite, fdatasync", Way::WriteThenSync),
        ("pwritev2 with RWF_DSYNC", Way::WriteWithFlag),
        ("pwrite, O_DSYNC", Way::FileWithFlag),
        ("pwrite of whole blocks, O_DIRECT and O_DSYNC", Way::Direct),
        #[cfg(feature = "io-uring")]
        (
            "io_uring: a write, and an fdatasync linked to it",
            Way::Ring,
        ),
        (
            "pwrite, fdatasync, blocks only reserved before",
            Way::Reserved,
        ),
        ("pwrite, fdatasync, a file that grows", Way::Growing),
    ];

    /// A file that is written by one of the ways.
    struct Target {
        file: File,
        #[cfg(feature = "io-uring")]
        ring: Ring,
        way: Way,
        at: u64,
        /// Whole blocks, somewhere in which there is an aligned address.
        blocks: Vec<u8>,
    }

    impl Target {
        fn create(path: &Path, way: Way, group_bytes: usize) -> io::Result<Self> {
            let fresh = OpenOptions::new().write(true).create_new(true).open(path)?;
            match way {
                Way::Growing => {}
                Way::Reserved => fallocate(&fresh, FallocateFlags::empty(), 0, way.file_bytes())?,
                _ => {
                    for position in (0..FILE_BYTES).step_by(BLOCK_BYTES) {
                        fresh.write_all_at(&[1; BLOCK_BYTES], position)?;
                    }
                }
            }
            fresh.sync_all()?;
            let flags = match way {
                Way::FileWithFlag => OFlags::DSYNC,
                Way::Direct => OFlags::DIRECT | OFlags::DSYNC,
                _ => OFlags::empty(),
            };
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(flags.bits() as i32);
            let file = options.open(path)?;
            Ok(Self {
                #[cfg(feature = "io-uring")]
                ring: Ring::new(file.try_clone()?)?,
                file,
                way,
                at: 0,
                blocks: vec![1; group_bytes + 3 * BLOCK_BYTES],
            })
        }

        /// Writes `frames` behind what was written last, durably.
        fn commit(&mut self, frames: &[u8]) -> io::Result<()> {
            let len_bytes = frames.len() as u64;
            if self.at + len_bytes + BLOCK_BYTES as u64 > self.way.file_bytes() {
                self.at = 0;
            }
            match self.way {
                Way::WriteWithFlag => {
                    let slices = [IoSlice::new(frames)];
                    let written = pwritev2(&self.file, &slices, self.at, ReadWriteFlags::DSYNC)?;
                    assert_eq!(written, frames.len(), "regular files are written whole");
                }
                Way::Direct => self.write_blocks(frames)?,
                Way::FileWithFlag => self.file.write_all_at(frames, self.at)?,
                #[cfg(feature = "io-uring")]
                Way::Ring => self.ring.write_and_sync(frames, self.at)?,
                Way::WriteThenSync | Way::Reserved | Way::Growing => {
                    self.file.write_all_at(frames, self.at)?;
                    self.file.sync_data()?;
                }
            }
            self.at += len_bytes;
            Ok(())
        }

        /// Writes the blocks that the frames touch, with what was in the first
        /// one before.
        fn write_blocks(&mut self, frames: &[u8]) -> io::Result<()> {
            let block = BLOCK_BYTES as u64;
            let (first, end) = (self.at / block, self.at + frames.len() as u64);
            let bytes = (end.div_ceil(block) - first) as usize * BLOCK_BYTES;
            let aligned = self.blocks.as_ptr().align_offset(BLOCK_BYTES);
            let blocks = &mut self.blocks[aligned..aligned + bytes];
            let from = (self.at - first * block) as usize;
            blocks[from..from + frames.len()].copy_from_slice(frames);
            self.file.write_all_at(blocks, first * block)?;
            // What the next frames lie behind.
            blocks.copy_within(bytes - BLOCK_BYTES.., 0);
            Ok(())
        }
    }

    fn turn(way: Way, group: usize, time: Duration) -> Vec<f64> {
        let directory = scratch::directory();
        let frames = vec![7; group * (PAYLOAD_BYTES + HEADER_BYTES)];
        let path = directory.path().join("segment");
        let target = Target::create(&path, way, frames.len()).expect("a file");
        let target = std::sync::Mutex::new(target);
        let no_count = || None;
        commits::turn(directory.path(), time, 1, no_count, |time| {
            writers::for_a_time(1, time, |_| {
                let mut target = target.lock().expect("nobody panics");
                target.commit(&frames).expect("the disk works");
            })
        })
    }

    pub(crate) fn main() {
        let effort = Effort::from_args();
        let time = Duration::from_millis(effort.scaled(TURN_MS));
        for group in GROUPS {
            let title = format!("ways to sync, records at once: {group}");
            let mut contest = Contest::new(title, Better::Higher, commits::COLUMNS);
            for &(name, way) in WAYS {
                contest.add(name, move || turn(way, group, time));
            }
            contest.hold(&effort);
        }
    }
}
