//! What no log can do without: a checksum, a copy, a system call, a sync.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use log_mmap::{Record, Store, StoreOptions, WalOptions};

/// What a frame needs beside the record: a length and a checksum, aligned.
pub const HEADER_BYTES: usize = 16;

const PAGE: [u8; 4096] = [1; 4096];

/// Frames in memory that is warm, round and round.
#[derive(Debug)]
pub struct WarmFrames {
    buffer: Vec<u8>,
    at: usize,
}

impl WarmFrames {
    /// In so many bytes, all of which were touched.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            buffer: vec![1; bytes],
            at: 0,
        }
    }

    /// Checksums and copies a record.
    #[inline]
    pub fn push(&mut self, payload: &[u8]) {
        let frame_bytes = HEADER_BYTES + payload.len();
        if self.at + frame_bytes > self.buffer.len() {
            self.at = 0;
        }
        let frame = &mut self.buffer[self.at..self.at + frame_bytes];
        frame[..4].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        frame[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        frame[HEADER_BYTES..].copy_from_slice(payload);
        self.at += frame_bytes;
    }

    /// What was pushed since the last time.
    pub fn take(&mut self) -> &[u8] {
        let end = std::mem::take(&mut self.at);
        &self.buffer[..end]
    }
}

/// A file whose blocks were all written before, to be written again, round and
/// round.
#[derive(Debug)]
pub struct WrittenFile {
    file: File,
    bytes: u64,
    at: u64,
}

impl WrittenFile {
    /// A file of so many bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = File::create(path)?;
        // Page by page: what is written at once is cached at once, and then
        // every small write goes through all that is kept for the large piece.
        for position in (0..bytes).step_by(PAGE.len()) {
            file.write_all_at(&PAGE, position)?;
        }
        file.sync_all()?;
        Ok(Self { file, bytes, at: 0 })
    }

    /// Writes behind what was written last.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        if self.at + frames.len() as u64 > self.bytes {
            self.at = 0;
        }
        self.file.write_all_at(frames, self.at)?;
        self.at += frames.len() as u64;
        Ok(())
    }

    /// `fdatasync`.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Frames in mapped files that are in the page cache: the bytes of a log of few
/// records that fill a segment each, which are mapped as any other.
#[derive(Debug)]
pub struct MappedFrames {
    pieces: Vec<Record>,
    frame_bytes: usize,
    frames_a_piece: usize,
}

impl MappedFrames {
    /// So many frames, in files of 32 MiB.
    ///
    /// # Panics
    ///
    /// If they cannot be written.
    #[must_use]
    pub fn create(directory: &Path, frames: u64, frame_bytes: usize) -> Self {
        const SEGMENT_BYTES: usize = 32 << 20;
        let frames_a_piece = (SEGMENT_BYTES - (1 << 20)) / frame_bytes;
        let piece = vec![7; frames_a_piece * frame_bytes];
        let wal = WalOptions::default().segment_bytes(SEGMENT_BYTES as u64);
        let store = Store::open(directory, StoreOptions::default().wal(wal));
        let store = store.expect("a fresh log opens");
        for _ in 0..frames.div_ceil(frames_a_piece as u64) {
            store.append(&piece).expect("there is room");
        }
        store.rotate().expect("the disk works");
        let pieces: Result<Vec<_>, _> = store.iter().collect();
        Self {
            pieces: pieces.expect("they are whole"),
            frame_bytes,
            frames_a_piece,
        }
    }

    /// Frame number `index`.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u64) -> &[u8] {
        let index = index as usize;
        let piece = self.pieces[index / self.frames_a_piece].payload();
        &piece[index % self.frames_a_piece * self.frame_bytes..][..self.frame_bytes]
    }
}
