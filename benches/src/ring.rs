//! A write and its sync in one system call: io_uring.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

/// A file that is written and synced through a ring of its own.
pub struct Ring {
    ring: IoUring,
    /// Registered as the ring's first file.
    _file: File,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring for `file`.
    ///
    /// # Errors
    ///
    /// What the system says; `PermissionDenied` where it forbids rings.
    pub fn new(file: File) -> io::Result<Self> {
        let ring = IoUring::new(2)?;
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        Ok(Self { ring, _file: file })
    }

    /// Writes `bytes` at `position` and syncs them: two requests, the second
    /// linked to the first.
    ///
    /// # Errors
    ///
    /// What the system says; `WriteZero` if not all was written.
    pub fn write_and_sync(&mut self, bytes: &[u8], position: u64) -> io::Result<()> {
        let len_bytes = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let write = opcode::Write::new(types::Fixed(0), bytes.as_ptr(), len_bytes)
            .offset(position)
            .build()
            .flags(squeue::Flags::IO_LINK);
        let sync = opcode::Fsync::new(types::Fixed(0))
            .flags(types::FsyncFlags::DATASYNC)
            .build();
        // SAFETY: the requests read `bytes`, which are borrowed until both are
        // done: we wait for them, and if that fails, the process ends.
        let pushed = unsafe { self.ring.submission().push_multiple(&[write, sync]) };
        pushed.map_err(io::Error::other)?;
        while self.ring.completion().len() < 2 {
            match self.ring.submit_and_wait(2) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    eprintln!("a ring does not answer: {error}");
                    std::process::abort();
                }
            }
        }
        let mut results = self.ring.completion().map(|entry| entry.result());
        let written = check(results.next())?;
        check(results.next())?;
        match written == len_bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// The answer to a request, in the order in which they were linked.
fn check(result: Option<i32>) -> io::Result<u32> {
    let result = result.ok_or(io::ErrorKind::UnexpectedEof)?;
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
